//! Fetches the files of a data set; feature `download`.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};
use ureq::{Agent, config::ConfigBuilder, typestate::AgentScope};

use super::files::{DataFile, Source};
use crate::{Error, Result, atomic, data::idx};

/// Fetches what is missing in `folder` from the first mirror that has it, and stores it unpacked.
pub(super) fn fetch_missing(source: &Source, folder: &Path, agent: &Agent) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    for file in source.files.iter().filter(|file| file.find(folder).is_none()) {
        let path = folder.join(file.name);
        let bytes = fetch_from_any(source.mirrors, file, agent).map_err(|message| Error::format(&path, message))?;
        atomic::replace(&path, |out| out.write_all(&bytes))?;
    }
    Ok(())
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

fn fetch_from_any(mirrors: &[&str], file: &DataFile, agent: &Agent) -> Result<Vec<u8>, String> {
    let mut failures = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}/{}.gz", file.name);
        match fetch(&url, file, agent) {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => failures.push(format!("{url}: {failure}")),
        }
    }
    Err(failures.join("; "))
}

/// The unpacked bytes, no more of them than the file has.
fn fetch(url: &str, file: &DataFile, agent: &Agent) -> Result<Vec<u8>, String> {
    let response = agent.get(url).call().map_err(|e| e.to_string())?;
    // What is packed is smaller, or hardly larger: room for the frame of gzip.
    let body = response.into_body().into_with_config().limit(file.bytes + 1024).reader();
    let mut bytes = Vec::new();
    idx::unpack(body)
        .and_then(|unpacked| unpacked.take(file.bytes + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("after {} unpacked bytes: {e}", bytes.len()))?;

    check(&bytes, file)?;
    Ok(bytes)
}

pub(super) fn check(bytes: &[u8], file: &DataFile) -> Result<(), String> {
    if bytes.len() as u64 > file.bytes {
        return Err(format!("unpacks to more than the expected {} bytes", file.bytes));
    }
    let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if sum != file.sha256 {
        return Err(format!("SHA-256 of the {} unpacked bytes is {sum}, expected {}", bytes.len(), file.sha256));
    }
    Ok(())
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

    const FILE: DataFile = DataFile {
        name: "digits",
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
        fetch(serve(move |_| answer.clone()), &FILE, &local())
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
        assert_refused(ok(bomb.len(), &bomb), "unpacks to more than the expected 10000 bytes");
        assert_refused(ok(1 << 22, &vec![0; 1 << 22]), "unpacks to more than the expected 10000 bytes");
        // Nothing, packed again and again.
        let nothing = gzip(&[]).repeat(1000);
        assert_refused(ok(nothing.len(), &nothing), "limit");
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let failure = fetch(&url, &FILE, &direct(Duration::from_millis(50))).unwrap_err();
        assert!(failure.contains("per read"), "{failure}");
    }

    fn source(mirrors: Vec<&'static str>) -> Source {
        let file = |name| DataFile { name, ..FILE };
        Source { name: "toy", files: ["a", "b", "c", "d"].map(file), mirrors: mirrors.leak() }
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
}
