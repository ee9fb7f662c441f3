//! [`replace`]: writes a file of which nobody ever sees a half.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process,
};

use crate::{Error, Result};

/// Writes a temporary file beside `path`, then renames it to `path`, so that a failure or a crash leaves the old file,
/// or none. When it has returned, a loss of power leaves the new one.
///
/// A crash may also leave the temporary file. Nobody removes it: it might be one that another process, even on another machine, is writing.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let (temporary, mut file) = create_beside(path).map_err(|e| Error::io(path, e))?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    drop(file);
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|e| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        Error::io(path, e)
    })?;
    sync_folder_of(path);
    Ok(())
}

/// Brings the new name to the disk. The file is in place, so where the system cannot do this, that is no error.
fn sync_folder_of(path: &Path) {
    // Windows does not open folders.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut attempt = 0;
    loop {
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}-{attempt}.tmp", process::id()));
        let temporary = path.with_file_name(temporary);
        match File::create_new(&temporary) {
            // Another thread's, or what a crash left behind.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            created => return Ok((temporary, created?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let failed = replace(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), format!("{}: the disk is full", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_file_in_the_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (left_behind, _) = create_beside(&path).unwrap();
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(left_behind).unwrap(), b"");
    }

    #[test]
    fn a_path_without_a_name_is_an_error() {
        assert!(matches!(replace(Path::new("/"), |_| Ok(())), Err(Error::Io { .. })));
    }
}
