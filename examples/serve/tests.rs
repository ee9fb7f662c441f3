//! The server as its clients see it.

use std::{
    io::{ErrorKind::WouldBlock, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use cornu::prelude::*;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use crate::{
    App, Args, Limits,
    batcher::{Batcher, Refusal},
    run, server, tell,
};

fn limits() -> Limits {
    let (patience, life) = (Duration::from_secs(5), Duration::from_secs(60));
    Limits { connections: 8, queue: 16, batch: 4, bytes: 1 << 16, decoded: 1 << 16, patience, life }
}

/// 2 x 2 gray pixels from 0 to 1; the answers are their sum and ten times it.
fn model() -> Model {
    let plan = Sequential::new([2, 2, 1]).add(Flatten::new()).add(Dense::new(2));
    let mut model = plan.build().unwrap();
    let kernel = Tensor::from([[1.0, 10.0]; 4]);
    model.set_weights(&[kernel, Tensor::zeros([2])]).unwrap();
    model
}

/// A server on a free port of this machine.
struct Server {
    address: SocketAddr,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

fn start(limits: Limits) -> Server {
    start_with(model(), limits)
}

fn start_with(model: Model, limits: Limits) -> Server {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = oneshot::channel();
    let (end, stopped) = oneshot::channel();
    let app = runtime.block_on(async { App::new(model, limits) });
    runtime.spawn(async move {
        let stop = async { stopping.await.unwrap() };
        server::serve(listener, app, stop).await;
        end.send(()).unwrap();
    });
    Server { address, runtime, stop, stopped }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The status and the body of the answer to a request, on a connection of its own.
    fn ask(&self, head: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = self.connect();
        let head = format!("{head}\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        answer(&mut stream)
    }

    fn predict(&self, json: &str) -> (u16, Value) {
        self.ask("POST /predict HTTP/1.1\r\ncontent-type: application/json", json.as_bytes())
    }

    fn png(&self, bytes: &[u8]) -> (u16, Value) {
        self.ask("POST /predict HTTP/1.1\r\ncontent-type: image/png", bytes)
    }

    fn works(&self) {
        assert_eq!(self.predict("{\"instances\": [[1, 2, 3, 4]]}"), (200, json!({ "predictions": [[10.0, 100.0]] })));
    }
}

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n";

/// Reads one answer; its body is JSON or nothing.
fn answer(stream: &mut impl Read) -> (u16, Value) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut body = vec![0; field("content-length:").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(field("retry-after:").is_some(), status == 503, "{head}");
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

#[track_caller]
fn refused((status, body): (u16, Value), expected: u16, words: &str) {
    let error = body["error"].as_str().unwrap_or_default();
    assert!(status == expected && error.contains(words), "{status}: {body}");
}

fn encoded(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

#[test]
fn json_is_answered_as_by_tensorflow_serving() {
    let server = start(limits());
    server.works();
    let two = server.predict("{\"instances\": [[[1, 0], [0, 0]], [[[0.5], [0]], [[0], [2]]]]}");
    assert_eq!(two, (200, json!({ "predictions": [[1.0, 10.0], [2.5, 25.0]] })));
    let health = json!({ "status": "ok", "input": [2, 2, 1], "output": [2] });
    assert_eq!(server.ask("GET /health HTTP/1.1", b""), (200, health));
}

#[test]
fn a_png_becomes_what_the_model_takes() {
    let server = start(limits());
    let pixel = image::RgbImage::from_pixel(1, 1, image::Rgb([255, 255, 255]));
    assert_eq!(server.png(&encoded(pixel)), (200, json!({ "predictions": [[4.0, 40.0]] })));
    let gray = image::GrayImage::from_raw(2, 2, vec![0, 51, 102, 255]).unwrap();
    let (status, answer) = server.png(&encoded(gray));
    let sum = answer["predictions"][0][0].as_f64().unwrap();
    assert!(status == 200 && (sum - 1.6).abs() < 1e-6, "{answer}");
}

#[test]
fn bad_requests_are_told_why() {
    let server = start(limits());
    let png = encoded(image::GrayImage::new(40, 40));
    refused(server.predict("{\"instances\": [[1, 2]]}"), 400, "instances[0]: expected a list of shape (2, 2, 1)");
    refused(server.predict("{\"instances\": [[NaN, 2, 3, 4]]}"), 400, "the body is no JSON: expected value at line 1");
    refused(server.predict(&format!("{{\"{}\": 1}}", "x".repeat(5000))), 400, "…");
    refused(server.png(b"GIF89a"), 400, "the body is no PNG");
    refused(server.png(&png[..png.len() / 2]), 400, "cannot be decoded");
    refused(server.png(&encoded(image::GrayImage::new(300, 300))), 400, "the image is larger than 0.0625 MiB");
    refused(server.ask("POST /predict HTTP/1.1\r\ncontent-type: image/gif", b"GIF89a"), 415, "got image/gif");
    refused(server.ask("GET /predict HTTP/1.1", b""), 405, "/predict expects POST, got GET");
    refused(server.ask("POST /health HTTP/1.1", b""), 405, "/health expects GET, got POST");
    refused(server.ask("GET /metrics HTTP/1.1", b""), 404, "there is no /metrics");
    refused(server.predict(&" ".repeat(70_000)), 413, "the body is larger than 65536 bytes");
    let instances = |n| format!("{{\"instances\": [{}]}}", vec!["[1,2,3,4]"; n].join(","));
    refused(server.predict(&instances(5)), 400, "at most 4 instances in a request");
    assert_eq!(server.predict(&instances(4)).0, 200);
    refused(server.predict("{\"instances\": [[1e39, 0, 0, 0]]}"), 400, "1e39 is too large for a number of 32 bits");
    refused(
        server.predict("{\"instances\": [[1e38, 0, 0, 0]]}"),
        400,
        "has a inf: the instance's numbers are too large",
    );
    server.works();
}

#[test]
fn a_body_without_an_announced_length_is_bounded_too() {
    let server = start(limits());
    let mut stream = server.connect();
    stream.write_all(b"POST /predict HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..70 {
        let _ = stream.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    refused(answer(&mut stream), 413, "larger than 65536 bytes");
    server.works();
}

/// The socket of a connection that is closed with bytes unread takes the answer from the client.
#[test]
fn a_refused_body_is_read_so_that_the_answer_arrives() {
    let server = start(limits());
    let body = vec![b' '; 12 << 20];
    refused(server.ask("POST /predict HTTP/1.1", &body), 413, "larger than 65536 bytes");
    refused(server.ask("POST /metrics HTTP/1.1", &body), 404, "there is no /metrics");
    refused(server.ask("POST /predict HTTP/1.1\r\ncontent-type: image/gif", &body), 415, "got image/gif");
    server.works();
}

/// What a client sent after such a body would be lost.
#[test]
fn a_refused_body_is_the_last_thing_on_its_connection() {
    let server = start(limits());
    for version in ["1.0\r\nconnection: keep-alive", "1.1"] {
        let mut stream = server.connect();
        let request = format!("POST /metrics HTTP/{version}\r\nhost: here\r\ncontent-length: 9\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\r\nconnection: close\r\n") && !answer.contains("keep-alive"), "{answer}");
    }
}

#[test]
fn a_model_whose_weights_are_broken_is_at_fault() {
    let mut broken = model();
    broken.set_weights(&[Tensor::full([4, 2], f32::NAN), Tensor::zeros([2])]).unwrap();
    let server = start_with(broken, limits());
    refused(server.predict("{\"instances\": [[1, 2, 3, 4]]}"), 500, "has a NaN, and so have its weights");

    let mut diverged = model();
    diverged.set_weights(&[Tensor::full([4, 2], 3e38), Tensor::zeros([2])]).unwrap();
    let server = start_with(diverged, limits());
    let white = image::GrayImage::from_pixel(2, 2, image::Luma([255]));
    refused(server.png(&encoded(white)), 500, "has a inf: its weights are too large");
    refused(server.predict("{\"instances\": [[1, 2, 3, 4]]}"), 400, "too large for it, or its weights are");
}

#[test]
fn who_has_asked_all_is_answered() {
    let server = start(limits());
    let body = "{\"instances\": [[1, 2, 3, 4]]}";
    for _ in 0..20 {
        let mut stream = server.connect();
        let head = format!("POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(&mut stream).0, 200);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and the connection ends");
    }
}

#[test]
fn who_is_slow_is_left() {
    let server = start(Limits { patience: Duration::from_millis(200), ..limits() });
    let mut header = server.connect();
    header.write_all(b"POST /predict HTTP/1.1\r\nhost").unwrap();
    let mut body = server.connect();
    body.write_all(b"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\n{").unwrap();
    let (mut idle, mut idle_again) = (server.connect(), server.connect());
    idle_again.write_all(HEALTH).unwrap();
    assert_eq!(answer(&mut idle_again).0, 200);
    refused(answer(&mut body), 408, "the body of the request took longer than 0.2 s");
    // Closed, whether with an answer of hyper's or without.
    for stream in [&mut header, &mut idle, &mut idle_again] {
        assert_ne!(stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind()), Err(WouldBlock));
    }
    server.works();
}

#[test]
fn connections_beyond_the_limit_wait() {
    let server = start(Limits { connections: 1, ..limits() });
    let first = server.connect();
    thread::sleep(Duration::from_millis(100));
    let mut second = server.connect();
    second.write_all(HEALTH).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(second.read(&mut [0]).is_err(), "there is no answer yet");
    first.shutdown(Shutdown::Both).unwrap();
    second.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(answer(&mut second).0, 200);
}

#[test]
fn who_never_leaves_is_told_to() {
    let server = start(Limits { connections: 1, life: Duration::from_millis(300), ..limits() });
    let start = Instant::now();
    let (mut first, mut second) = (server.connect(), server.connect());
    second.write_all(HEALTH).unwrap();
    let mut buffer = [0; 1024];
    while start.elapsed() < Duration::from_secs(10) {
        first.write_all(HEALTH).unwrap();
        // Each request is answered, also the last.
        let n = first.read(&mut buffer).unwrap();
        assert!(buffer[..n].starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&buffer[..n]));
        if buffer[..n].windows(17).any(|bytes| bytes == b"connection: close") {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(first.read(&mut buffer).unwrap(), 0);
    assert_eq!(answer(&mut second).0, 200);
}

#[test]
fn who_waits_for_a_slot_when_it_stops_is_answered() {
    let server = start(Limits { connections: 1, ..limits() });
    let mut all: Vec<_> = (0..10).map(|_| server.connect()).collect();
    let body = "{\"instances\": [[1, 2, 3, 4]]}";
    let request = format!("POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    all.iter_mut().for_each(|stream| stream.write_all(request.as_bytes()).unwrap());
    assert_eq!(answer(&mut all[0]).0, 200);
    server.stop.send(()).unwrap();
    all[1..].iter_mut().for_each(|stream| assert_eq!(answer(stream).0, 200));
    server.runtime.block_on(server.stopped).unwrap();
}

#[test]
fn a_stop_answers_what_was_asked() {
    let server = start(limits());
    let (mut half, mut idle) = (server.connect(), server.connect());
    let body = "{\"instances\": [[1, 2, 3, 4]]}";
    let head = format!("POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n", body.len());
    idle.write_all(format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(answer(&mut idle).0, 200);
    half.write_all(format!("{head}{}", &body[..9]).as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(100));
    server.stop.send(()).unwrap();
    thread::sleep(Duration::from_millis(50));
    // A client that does not know of the stop yet.
    idle.write_all(format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(answer(&mut idle).0, 200);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "that was its last answer");
    assert!(TcpStream::connect(server.address).is_err());
    thread::sleep(server::LINGER);
    half.write_all(&body.as_bytes()[9..]).unwrap();
    assert_eq!(answer(&mut half).0, 200);
    let stopping = Instant::now();
    server.runtime.block_on(server.stopped).unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(4), "nobody is waited for");
}

#[test]
fn an_address_that_is_taken_is_told_before_the_model_is_read() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error =
        run(&Args { model: Some("none.safetensors".into()), address, limits: limits() }).unwrap_err().to_string();
    assert!(error.starts_with(&format!("--address {address}: ")), "{error}");
}

#[test]
fn nobody_has_to_read_what_it_tells() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    tell(Closed, "it stops");
}

/// A batcher whose model says which batches it takes, and waits for a word before each answer.
fn watched(limits: &Limits) -> (Batcher, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    let (batches, seen) = mpsc::channel();
    let (go, word) = mpsc::channel();
    let batcher = Batcher::new(limits, move |x| {
        batches.send(x.shape().dims()[0]).unwrap();
        word.recv().unwrap();
        assert!(x.data()[0] >= 0.0, "the test asks for a panic");
        Ok(x * 2.0)
    });
    (batcher, seen, go)
}

fn row(value: f32) -> Tensor {
    Tensor::from([[value]])
}

#[tokio::test]
async fn what_waits_is_one_batch_and_what_is_too_much_is_refused() {
    let (batcher, batches, go) = watched(&Limits { queue: 6, batch: 3, ..limits() });
    let batcher = std::sync::Arc::new(batcher);
    let ask = |x: Tensor| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.predict(x).await })
    };
    let first = ask(row(1.0));
    tokio::task::yield_now().await;
    assert_eq!(batches.recv().unwrap(), 1, "the first does not wait for others");
    let others = [ask(row(2.0)), ask(Tensor::from([[3.0], [4.0]])), ask(row(5.0))];
    let impatient = ask(row(6.0));
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(batcher.predict(row(7.0)).await, Err(Refusal::Full), "six wait or are computed");
    impatient.abort();
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    assert_eq!(first.await.unwrap(), Ok(row(2.0)));
    let [a, b, c] = others;
    assert_eq!(a.await.unwrap(), Ok(row(4.0)));
    assert_eq!(b.await.unwrap(), Ok(Tensor::from([[6.0], [8.0]])));
    assert_eq!(c.await.unwrap(), Ok(row(10.0)));
    assert_eq!([batches.recv().unwrap(), batches.recv().unwrap()], [3, 1], "who has left is not predicted for");
    // All room is free again.
    go.send(()).unwrap();
    assert!(batcher.predict(Tensor::zeros([6, 1])).await.is_ok());
}

#[tokio::test]
async fn a_batch_is_never_larger_than_it_may_be() {
    let (batcher, batches, go) = watched(&Limits { batch: 3, ..limits() });
    let batcher = std::sync::Arc::new(batcher);
    let ask = |n| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.predict(Tensor::zeros([n, 1])).await })
    };
    let mut jobs = vec![ask(1)];
    tokio::task::yield_now().await;
    assert_eq!(batches.recv().unwrap(), 1);
    jobs.extend([2, 2, 1, 3].map(ask));
    tokio::task::yield_now().await;
    for _ in 0..4 {
        go.send(()).unwrap();
    }
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [2, 3, 3]);
}

#[tokio::test]
async fn a_panic_of_the_model_hurts_only_those_who_were_in_it() {
    let (batcher, _batches, go) = watched(&limits());
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(batcher.predict(row(-1.0)).await, Err(Refusal::Failed("it panicked".to_owned())));
    assert_eq!(batcher.predict(row(1.0)).await, Ok(row(2.0)));
}
