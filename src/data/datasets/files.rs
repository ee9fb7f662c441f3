//! [`Source`]: the files of a data set, and where they are.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A data set of four files: images and labels to train on, images and labels to test on.
pub(super) struct Source {
    /// The name of the data set and of its folder.
    pub name: &'static str,
    pub files: [DataFile; 4],
    /// The addresses of folders that hold the files, packed: `{mirror}/{file}.gz`.
    pub mirrors: &'static [&'static str],
}

#[cfg_attr(not(feature = "download"), expect(dead_code, reason = "only a download compares size and sum"))]
pub(super) struct DataFile {
    /// The name when not packed; a packed file ends in `.gz`.
    pub name: &'static str,
    /// The size when not packed.
    pub bytes: u64,
    /// The SHA-256 when not packed: mirrors pack differently.
    pub sha256: &'static str,
}

/// Where the files of a data set may be.
struct Places {
    /// In the order of the search.
    searched: Vec<PathBuf>,
    /// The user's own folder, for what is downloaded.
    own: Option<PathBuf>,
}

impl Source {
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
    pub fn files_in(&self, folder: &Path) -> Result<[PathBuf; 4]> {
        match self.files.each_ref().map(|file| file.find(folder)) {
            [Some(a), Some(b), Some(c), Some(d)] => Ok([a, b, c, d]),
            _ => {
                let message =
                    format!("{}; each file may be as it is, or packed with the ending .gz", self.lack(folder));
                Err(Error::DatasetNotFound { name: self.name, message })
            }
        }
    }

    fn find(&self, places: &Places) -> Option<PathBuf> {
        places.searched.iter().find(|folder| self.is_in(folder)).cloned()
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.files.iter().all(|file| file.find(folder).is_some())
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
        let files = self.files.each_ref().map(|file| file.name).join(",");
        let searched: String = places.searched.iter().map(|folder| format!("  {}\n", self.lack(folder))).collect();
        let folder = places.own.clone().unwrap_or_else(|| relative(self.name));
        let message = format!(
            "the files are not on this machine. Searched:\n{searched}\
             Copy the files into one of these folders, or fetch them:\n  \
             curl --create-dirs --output-dir \"{}\" -fLO \"{}/{{{files}}}.gz\"\n\
             Or, in a checkout of cornu: python3 data-scripts/fetch_{}.py\n{or}",
            folder.display(),
            self.mirrors[0],
            self.name,
        );
        Error::DatasetNotFound { name: self.name, message }
    }

    /// What `folder` lacks, in words.
    fn lack(&self, folder: &Path) -> String {
        if !folder.is_dir() {
            return format!("{}: no such folder", folder.display());
        }
        let missing = self.files.iter().filter(|file| file.find(folder).is_none());
        let missing: Vec<&str> = missing.map(|file| file.name).collect();
        format!("{}: no {}", folder.display(), missing.join(", no "))
    }
}

impl DataFile {
    /// The path of this file in `folder`, packed or not, if it is there.
    pub fn find(&self, folder: &Path) -> Option<PathBuf> {
        [self.name.into(), format!("{}.gz", self.name)].map(|name| folder.join(name)).into_iter().find(|p| p.is_file())
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

    fn source() -> Source {
        let file = |name| DataFile { name, bytes: 0, sha256: "" };
        Source {
            name: "toy",
            files: ["a", "b", "c", "d"].map(file),
            mirrors: &["http://127.0.0.1:1/toy", "http://127.0.0.1:1"],
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
