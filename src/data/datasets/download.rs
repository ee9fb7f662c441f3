//! Fetches the files of a data set; feature `download`.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tar::Archive;
use ureq::{Agent, config::ConfigBuilder, typestate::AgentScope};

use super::files::{Download, Source, Sum, find};
use crate::{Error, Result, atomic, data::unpacked::unpack};

/// Fetches what is missing in `folder` from the first mirror that has it.
pub(super) fn fetch_missing<const N: usize>(source: &Source<N>, folder: &Path, agent: &Agent) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    match &source.download {
        Download::Files(sums) => {
            for (name, sum) in source.files.iter().zip(sums).filter(|(name, _)| find(folder, name).is_none()) {
                let packed = format!("{name}.gz");
                let path = folder.join(if sum.packed { &packed } else { *name });
                let bytes = fetch_from_any(source.mirrors, &packed, sum, agent).map_err(|m| Error::format(&path, m))?;
                atomic::replace(&path, |out| out.write_all(&bytes))?;
            }
            Ok(())
        }
        Download::Archive { name, sum } => {
            let path = folder.join(name);
            let archive = fetch_from_any(source.mirrors, name, sum, agent).map_err(|m| Error::format(&path, m))?;
            extract(&archive, &path, &source.files, folder)
        }
    }
}

/// Stores those of `files` that are missing in `folder`, out of an archive; an error calls that by `name`.
fn extract(archive: &[u8], name: &Path, files: &[&str], folder: &Path) -> Result<()> {
    let damaged = |e: io::Error| Error::format(name, e.to_string());
    let mut archive = Archive::new(unpack(archive).map_err(damaged)?);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        // Only the files' own names, so that no entry leads out of the folder.
        let Some(&file) = files.iter().find(|file| *entry.path_bytes() == *file.as_bytes()) else {
            continue;
        };
        if find(folder, file).is_none() {
            let path = folder.join(file);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(damaged)?;
            atomic::replace(&path, |out| out.write_all(&content))?;
        }
    }
    match files.iter().find(|file| find(folder, file).is_none()) {
        Some(file) => Err(Error::format(name, format!("the archive holds no {file}"))),
        None => Ok(()),
    }
}

/// The way to the mirrors.
pub(super) fn agent() -> Agent {
    patience(Duration::from_secs(30)).build().into()
}

/// Gives up on a server that says nothing for as long as `silence`, and on one that takes twenty times that.
fn patience(silence: Duration) -> ConfigBuilder<AgentScope> {
    let config = Agent::config_builder().timeout_connect(Some(silence)).timeout_per_read(Some(silence));
    config.timeout_global(Some(20 * silence))
}

fn fetch_from_any(mirrors: &[&str], name: &str, sum: &Sum, agent: &Agent) -> Result<Vec<u8>, String> {
    let mut failures = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}/{name}");
        match fetch(&url, sum, agent) {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => failures.push(format!("{url}: {failure}")),
        }
    }
    Err(failures.join("; "))
}

/// The bytes that `sum` is of, no more of them than it says.
fn fetch(url: &str, sum: &Sum, agent: &Agent) -> Result<Vec<u8>, String> {
    let response = agent.get(url).call().map_err(|e| e.to_string())?;
    // What is packed is smaller, or hardly larger: room for the frame of gzip.
    let body = response.into_body().into_with_config().limit(sum.bytes + 1024).reader();
    let mut bytes = Vec::new();
    let content: io::Result<Box<dyn Read>> = if sum.packed { Ok(Box::new(body)) } else { unpack(body) };
    content
        .and_then(|content| content.take(sum.bytes + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("after {} {} bytes: {e}", bytes.len(), sum.state()))?;

    check(&bytes, sum)?;
    Ok(bytes)
}

pub(super) fn check(bytes: &[u8], sum: &Sum) -> Result<(), String> {
    if bytes.len() as u64 > sum.bytes {
        return Err(format!("more than the expected {} {} bytes", sum.bytes, sum.state()));
    }
    let actual: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if actual != sum.sha256 {
        let (n, state, expected) = (bytes.len(), sum.state(), sum.sha256);
        return Err(format!("SHA-256 of the {n} {state} bytes is {actual}, expected {expected}"));
    }
    Ok(())
}

impl Sum {
    fn state(&self) -> &'static str {
        if self.packed { "packed" } else { "unpacked" }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        thread,
    };

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// The digits 0 to 9, a thousand times.
    fn content() -> Vec<u8> {
        b"0123456789".repeat(1000)
    }

    const DIGITS: Sum = Sum {
        packed: false,
        bytes: 10_000,
        sha256: "4c207598af7a20db0e3334dd044399a40e467cb81b37f7ba05a4f76dcbd8fd59",
    };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn ok(length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn not_found() -> Vec<u8> {
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    }

    /// A server that answers a request for a path with `answer(path)`; its address.
    fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> &'static str {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let request = lines.next().unwrap();
                lines.find(|line| line.is_empty());
                // A client that has seen enough hangs up.
                let _ = stream.write_all(&answer(request.split(' ').nth(1).unwrap()));
            }
        });
        format!("http://{address}").leak()
    }

    /// Not through a proxy of the machine that runs the tests.
    fn direct(silence: Duration) -> Agent {
        patience(silence).proxy(None).build().into()
    }

    fn local() -> Agent {
        direct(Duration::from_secs(30))
    }

    fn fetched(answer: Vec<u8>) -> Result<Vec<u8>, String> {
        fetch(serve(move |_| answer.clone()), &DIGITS, &local())
    }

    #[track_caller]
    fn assert_refused(answer: Vec<u8>, part: &str) {
        let failure = fetched(answer).unwrap_err();
        assert!(failure.contains(part), "{failure}");
    }

    #[test]
    fn the_right_file_comes_packed_or_not() {
        let packed = gzip(&content());
        assert_eq!(fetched(ok(packed.len(), &packed)), Ok(content()));
        assert_eq!(fetched(ok(10_000, &content())), Ok(content()));
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let mut wrong = content();
        wrong[5000] ^= 1;
        let packed = gzip(&wrong);
        assert_refused(ok(packed.len(), &packed), "SHA-256 of the 10000 unpacked bytes is ");
        assert_refused(ok(3, b"abc"), "SHA-256 of the 3 unpacked bytes is ba7816bf8f01cfea414140de5dae2223b00361a3");
        assert_refused(not_found(), "404");
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let packed = gzip(&content());
        let half = &packed[..packed.len() / 2];
        assert_refused(ok(half.len(), half), "unpacked bytes: ");
        assert_refused(ok(packed.len(), half), "unpacked bytes: ");
        // All bytes of the file, but not the checksum behind them.
        assert_refused(ok(packed.len() - 8, &packed[..packed.len() - 8]), "after 10000 unpacked bytes: ");
        assert_refused(ok(10_000, &content()[..9999]), "after 9999 unpacked bytes: ");
    }

    #[test]
    fn an_oversized_file_is_refused() {
        let bomb = gzip(&vec![0; 1 << 22]);
        assert_refused(ok(bomb.len(), &bomb), "more than the expected 10000 unpacked bytes");
        assert_refused(ok(1 << 22, &vec![0; 1 << 22]), "more than the expected 10000 unpacked bytes");
        // Nothing, packed again and again.
        let nothing = gzip(&[]).repeat(1000);
        assert_refused(ok(nothing.len(), &nothing), "limit");
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let failure = fetch(&url, &DIGITS, &direct(Duration::from_millis(50))).unwrap_err();
        assert!(failure.contains("per read"), "{failure}");
    }

    fn toy<const N: usize>(files: [&'static str; N], mirrors: Vec<&'static str>, download: Download<N>) -> Source<N> {
        Source { name: "toy", files, mirrors: mirrors.leak(), download, script: None }
    }

    fn source(mirrors: Vec<&'static str>) -> Source<4> {
        toy(["a", "b", "c", "d"], mirrors, Download::Files([DIGITS; 4]))
    }

    #[test]
    fn only_missing_files_are_fetched_from_the_first_mirror_that_has_them() {
        let first = serve(|path| if path == "/a.gz" { ok(10_000, &content()) } else { not_found() });
        let second = serve(|path| {
            assert!(["/c.gz", "/d.gz"].contains(&path), "{path}");
            let packed = gzip(&content());
            ok(packed.len(), &packed)
        });
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new").join("toy");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("b.gz"), "here already").unwrap();

        fetch_missing(&source(vec![first, second]), &folder, &local()).unwrap();
        for name in ["a", "c", "d"] {
            assert_eq!(fs::read(folder.join(name)).unwrap(), content());
        }
        assert_eq!(fs::read(folder.join("b.gz")).unwrap(), b"here already");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    }

    #[test]
    fn a_failed_download_names_each_mirror_and_leaves_no_file() {
        let (first, second) = (serve(|_| not_found()), serve(|_| ok(3, b"abc")));
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("toy");
        let failure = fetch_missing(&source(vec![first, second]), &folder, &local()).unwrap_err().to_string();
        for part in [format!("{first}/a.gz: "), "404".into(), format!("{second}/a.gz: SHA-256 of the 3 ")] {
            assert!(failure.contains(&part), "{failure}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_known_packed_stays_packed() {
        let packed = gzip(&content());
        let mut other = packed.clone();
        other[4] ^= 1;
        let served = packed.clone();
        let mirror = serve(move |_| ok(served.len(), &served));
        let folder = tempfile::tempdir().unwrap();
        let fetch = |expected: &[u8]| {
            fetch_missing(&toy(["a"], vec![mirror], Download::Files([sum_of(expected)])), folder.path(), &local())
        };

        let failure = fetch(&other).unwrap_err().to_string();
        assert!(failure.contains(&format!("SHA-256 of the {} packed bytes is ", packed.len())), "{failure}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fetch(&packed).unwrap();
        assert_eq!(fs::read(folder.path().join("a.gz")).unwrap(), packed);
    }

    /// What is known of these bytes as they are.
    fn sum_of(bytes: &[u8]) -> Sum {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Sum { packed: true, bytes: bytes.len() as u64, sha256: sum.leak() }
    }

    /// A packed archive of these files.
    fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            // Not set_path, which refuses a path that leads out of the folder.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        gzip(&archive.into_inner().unwrap())
    }

    /// Fetches the files of an archive into `folder`, from a server that has `archive`.
    fn fetch_archive(archive: Vec<u8>, folder: &Path) -> Result<()> {
        let sum = sum_of(&archive);
        let mirror = serve(move |path| if path == "/toy.tar.gz" { ok(archive.len(), &archive) } else { not_found() });
        let download = Download::Archive { name: "toy.tar.gz", sum };
        fetch_missing(&toy(["bin/train", "bin/test"], vec![mirror], download), folder, &local())
    }

    #[test]
    fn an_archive_is_extracted_where_files_are_missing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("toy");
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("bin/test"), "here already").unwrap();
        let files: &[(&str, &[u8])] =
            &[("bin/readme", b"no"), ("../bin/train", b"no"), ("bin/train", b"to train"), ("bin/test", b"to test")];
        fetch_archive(tar_gz(files), &folder).unwrap();
        assert_eq!(fs::read(folder.join("bin/train")).unwrap(), b"to train");
        assert_eq!(fs::read(folder.join("bin/test")).unwrap(), b"here already");
        assert_eq!(fs::read_dir(folder.join("bin")).unwrap().count(), 2);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
    }

    #[test]
    fn a_wrong_archive_is_an_error() {
        let whole = tar_gz(&[("bin/train", &content()), ("bin/test", &content())]);
        let tar = |bytes: &[u8]| gzip(&[bytes, &[0; 600]].concat());
        for (archive, part) in [
            (tar_gz(&[("bin/train", b"")]), "toy.tar.gz: the archive holds no bin/test"),
            (whole[..whole.len() - 20].to_vec(), "toy.tar.gz: "),
            (tar(b"this is no archive"), "toy.tar.gz: "),
            (b"nor is this".to_vec(), "toy.tar.gz: "),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = fetch_archive(archive, folder.path()).unwrap_err();
            assert!(matches!(&error, Error::Format { .. }) && error.to_string().contains(part), "{error:?}");
        }
    }
}
