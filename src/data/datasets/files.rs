//! [`Source`]: the files of a data set, and where they are.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A data set of `N` files.
pub(super) struct Source<const N: usize> {
    /// The name of the data set and of its folder.
    pub name: &'static str,
    /// The files in its folder, each as it is, or packed with gzip and with the ending `.gz`.
    pub files: [&'static str; N],
    /// The addresses of folders that hold what is downloaded.
    pub mirrors: &'static [&'static str],
    pub download: Download<N>,
    /// The program in `data-scripts` that fetches the files, if there is one.
    pub script: Option<&'static str>,
}

/// What the mirrors hold.
#[cfg_attr(not(feature = "download"), expect(dead_code, reason = "only a download compares sums"))]
pub(super) enum Download<const N: usize> {
    /// Each file, packed: `{mirror}/{file}.gz`.
    Files([Sum; N]),
    /// `{mirror}/{name}`, a tar archive, packed, in which the files have the names that they have here.
    Archive { name: &'static str, sum: Sum },
}

/// By what a download is known.
#[cfg_attr(not(feature = "download"), expect(dead_code, reason = "only a download compares sums"))]
pub(super) struct Sum {
    /// Whether size and sum are those of the packed file. Where mirrors pack differently, they are not.
    pub packed: bool,
    pub bytes: u64,
    pub sha256: &'static str,
}

impl Sum {
    pub const fn packed(bytes: u64, sha256: &'static str) -> Self {
        Sum { packed: true, bytes, sha256 }
    }

    pub const fn unpacked(bytes: u64, sha256: &'static str) -> Self {
        Sum { packed: false, bytes, sha256 }
    }
}

/// The path of a file in `folder`, packed or not, if it is there.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.into(), format!("{name}.gz")].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// Where the files of a data set may be.
struct Places {
    /// In the order of the search.
    searched: Vec<PathBuf>,
    /// The user's own folder, for what is downloaded.
    own: Option<PathBuf>,
}

impl<const N: usize> Source<N> {
    /// The folder that holds the files; the feature `download` fetches them if there is none.
    pub fn locate(&self) -> Result<PathBuf> {
        let home = env::var_os("CORNU_HOME").filter(|home| !home.is_empty());
        let places = Places::new(self.name, home.map(PathBuf::from), dirs::cache_dir());
        match self.find(&places) {
            Some(folder) => Ok(folder),
            None => self.obtain(&places),
        }
    }

    /// The paths of the files in `folder`.
    pub fn files_in(&self, folder: &Path) -> Result<[PathBuf; N]> {
        let paths: Option<Vec<PathBuf>> = self.files.iter().map(|name| find(folder, name)).collect();
        paths.and_then(|paths| paths.try_into().ok()).ok_or_else(|| {
            let message = format!("{}; each file may be as it is, or packed with the ending .gz", self.lack(folder));
            Error::DatasetNotFound { name: self.name, message }
        })
    }

    fn find(&self, places: &Places) -> Option<PathBuf> {
        places.searched.iter().find(|folder| self.files.iter().all(|name| find(folder, name).is_some())).cloned()
    }

    #[cfg(not(feature = "download"))]
    fn obtain(&self, places: &Places) -> Result<PathBuf> {
        Err(self.not_found(places, "Or let cornu fetch them: cargo add cornu --features download"))
    }

    #[cfg(feature = "download")]
    fn obtain(&self, places: &Places) -> Result<PathBuf> {
        let Some(own) = &places.own else {
            return Err(self.not_found(places, "Or set CORNU_HOME to a folder that cornu may fetch them into."));
        };
        super::download::fetch_missing(self, own, &super::download::agent())
            .map_err(|e| self.not_found(places, &format!("cornu tried to fetch them. {e}")))?;
        Ok(own.clone())
    }

    /// The error that names the folders and how to get the files; `or` is what the feature `download` has to say.
    fn not_found(&self, places: &Places, or: &str) -> Error {
        let searched: String = places.searched.iter().map(|folder| format!("  {}\n", self.lack(folder))).collect();
        let folder = places.own.clone().unwrap_or_else(|| relative(self.name));
        let script = |name| format!("Or, in a checkout of cornu: python3 data-scripts/{name}\n");
        let message = format!(
            "the files are not on this machine. Searched:\n{searched}\
             Copy the files into one of these folders, or fetch them:\n  {}\n{}{or}",
            self.command(&folder),
            self.script.map_or(String::new(), script),
        );
        Error::DatasetNotFound { name: self.name, message }
    }

    /// The command that fetches the files into `folder`.
    fn command(&self, folder: &Path) -> String {
        let (folder, mirror) = (folder.display(), self.mirrors[0]);
        match &self.download {
            Download::Files(_) => {
                let files = self.files.join(",");
                format!("curl --create-dirs --output-dir \"{folder}\" -fLO \"{mirror}/{{{files}}}.gz\"")
            }
            Download::Archive { name, .. } => {
                format!("mkdir -p \"{folder}\" && curl -fL \"{mirror}/{name}\" | tar -xz -C \"{folder}\"")
            }
        }
    }

    /// What `folder` lacks, in words.
    fn lack(&self, folder: &Path) -> String {
        if !folder.is_dir() {
            return format!("{}: no such folder", folder.display());
        }
        let missing: Vec<&str> = self.files.into_iter().filter(|name| find(folder, name).is_none()).collect();
        format!("{}: no {}", folder.display(), missing.join(", no "))
    }
}

impl Places {
    fn new(name: &str, home: Option<PathBuf>, cache: Option<PathBuf>) -> Self {
        let home = home.map(|home| home.join(name));
        let cache = cache.map(|cache| cache.join("cornu").join(name));
        // A published crate is built without a data folder.
        let checkout = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(relative(name))).filter(|path| path.is_dir());
        let searched = [home.clone(), checkout, Some(relative(name)), cache.clone()];
        Places { searched: searched.into_iter().flatten().collect(), own: home.or(cache) }
    }
}

fn relative(name: &str) -> PathBuf {
    Path::new("data").join(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NONE: Sum = Sum { packed: false, bytes: 0, sha256: "" };

    fn source() -> Source<4> {
        Source {
            name: "toy",
            files: ["a", "b", "c", "d"],
            mirrors: &["http://127.0.0.1:1/toy", "http://127.0.0.1:1"],
            download: Download::Files([NONE; 4]),
            script: Some("fetch_toy.py"),
        }
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_order_of_the_search() {
        let places = Places::new("toy", Some("home".into()), Some("cache".into()));
        assert_eq!(places.searched, ["home/toy", "data/toy", "cache/cornu/toy"].map(PathBuf::from));
        assert_eq!(places.own, Some("home/toy".into()));

        let places = Places::new("toy", None, Some("cache".into()));
        assert_eq!(places.searched, ["data/toy", "cache/cornu/toy"].map(PathBuf::from));
        assert_eq!(places.own, Some("cache/cornu/toy".into()));

        assert_eq!(Places::new("toy", None, None).own, None);
    }

    #[test]
    fn the_first_complete_folder_is_found() {
        let (partial, first, second) = (folder(&["a", "b"]), folder(&["a.gz", "b", "c", "d.gz"]), folder(&["a"; 4]));
        let searched = [&partial, &first, &second].map(|folder| folder.path().to_owned()).to_vec();
        let places = Places { searched, own: None };
        assert_eq!(source().find(&places).unwrap(), first.path());
        assert_eq!(
            source().files_in(first.path()).unwrap(),
            ["a.gz", "b", "c", "d.gz"].map(|file| first.path().join(file))
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = folder(&["a.gz", "c"]);
        let message = source().files_in(folder.path()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("toy: {}: no b, no d; each file may be as it is", folder.path().display())),
            "{message}"
        );
    }

    #[test]
    fn not_found_names_the_folders_and_the_commands() {
        let folder = folder(&["a.gz", "c"]);
        let path = folder.path().display();
        let places = Places { searched: vec!["missing".into(), folder.path().into()], own: Some(folder.path().into()) };
        assert_eq!(source().find(&places), None);
        let message = source().not_found(&places, "Or else.").to_string();
        assert_eq!(
            message,
            format!(
                "toy: the files are not on this machine. Searched:\n  \
                 missing: no such folder\n  \
                 {path}: no b, no d\n\
                 Copy the files into one of these folders, or fetch them:\n  \
                 curl --create-dirs --output-dir \"{path}\" -fLO \"http://127.0.0.1:1/toy/{{a,b,c,d}}.gz\"\n\
                 Or, in a checkout of cornu: python3 data-scripts/fetch_toy.py\n\
                 Or else."
            )
        );
    }

    #[test]
    fn the_command_for_an_archive_unpacks_it() {
        let source = Source { download: Download::Archive { name: "toy.tar.gz", sum: NONE }, script: None, ..source() };
        let places = Places { searched: vec![], own: Some("own".into()) };
        assert_eq!(
            source.not_found(&places, "Or else.").to_string(),
            "toy: the files are not on this machine. Searched:\n\
             Copy the files into one of these folders, or fetch them:\n  \
             mkdir -p \"own\" && curl -fL \"http://127.0.0.1:1/toy/toy.tar.gz\" | tar -xz -C \"own\"\n\
             Or else."
        );
    }

    #[cfg(not(feature = "download"))]
    #[test]
    fn without_the_feature_its_command_is_named() {
        let places = Places { searched: vec![], own: None };
        let message = source().obtain(&places).unwrap_err().to_string();
        assert!(message.contains("--output-dir \"data/toy\""), "{message}");
        assert!(message.ends_with("cargo add cornu --features download"), "{message}");
    }

    #[cfg(feature = "download")]
    #[test]
    fn a_failed_download_says_so() {
        let message = |own| source().obtain(&Places { searched: vec![], own }).unwrap_err().to_string();
        assert!(message(None).contains("set CORNU_HOME"), "{}", message(None));
        let folder = folder(&["a", "b", "c"]);
        let failed = message(Some(folder.path().into()));
        // Nobody listens on port 1.
        assert!(
            failed.contains("cornu tried to fetch them. ") && failed.contains("http://127.0.0.1:1/d.gz: "),
            "{failed}"
        );
    }
}
