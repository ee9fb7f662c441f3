//! [`serve`]: takes connections, and stops without losing a request.

use std::{
    convert::Infallible,
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
};
use hyper::{
    Request,
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use crate::{App, patience::Patience, tell};

/// How long connections that are open when the server is told to stop may send another request, which is answered and is their
/// last. A client that has just sent one, and does not know yet, gets its answer.
pub const LINGER: Duration = Duration::from_millis(500);

/// The bytes of a request's header.
const HEADER: usize = 16 << 10;

/// How many phases of a connection have the [patience](crate::Limits::patience) each: header, body, decoding, model, answer, end.
const PHASES: u32 = 6;

/// How many of the connections that wait in the operating system are taken at the stop. It keeps fewer.
const WAITING: usize = 1024;

/// Serves until `stop` is there and all that was asked is answered.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let server = Server {
        router: app.router(),
        slots: Arc::new(Semaphore::new(app.limits.connections)),
        connections: GracefulShutdown::new(),
        app,
    };
    tokio::select! {
        () = server.accept(&listener) => {}
        () = stop => {}
    }
    server.app.stopping.store(true, Ordering::SeqCst);
    server.accept_last(listener);
    let all_ended = async {
        while server.connections.count() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(LINGER, all_ended).await;
    // Those that are idle end now, the others with their answer.
    let _ = timeout(PHASES * server.app.limits.patience, server.connections.shutdown()).await;
}

struct Server {
    router: Router,
    /// A permit for each connection that may be open.
    slots: Arc<Semaphore>,
    connections: GracefulShutdown,
    app: Arc<App>,
}

impl Server {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let slot = self.slots.clone().acquire_owned().await.expect("it is never closed");
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, Some(slot)),
                // The client has gone, or there are too many files open; that passes.
                Err(error) => {
                    tell(io::stderr(), format_args!("accept: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes all that have connected already, whether there are slots for them or not, and closes the door.
    fn accept_last(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..WAITING {
            match listener.accept().and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream)) {
                Ok(stream) => TcpStream::from_std(stream).map_or((), |stream| self.spawn(stream, None)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // This client has gone, the next may be there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    return tell(io::stderr(), format_args!("accept: {error}; those who wait are not answered"));
                }
            }
        }
    }

    /// Serves a connection, which gives its slot back when it ends.
    fn spawn(&self, stream: TcpStream, slot: Option<OwnedSemaphorePermit>) {
        // Answers are short, and written at once.
        let _ = stream.set_nodelay(true);
        let patience = self.app.limits.patience;
        let stream = TokioIo::new(Patience::new(stream, patience));
        let (app, begin) = (self.app.clone(), Instant::now());
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (version, has_body) = (request.version(), !request.body().is_end_stream());
            let (app, answer) = (app.clone(), router.call(request));
            async move {
                let mut answer = answer.await?;
                let unread = has_body && leaves_the_body(answer.status());
                // So told, no client sends another request, which would be lost.
                if unread || app.stopping.load(Ordering::SeqCst) || begin.elapsed() >= app.limits.life {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    if version == Version::HTTP_10 {
                        // Or hyper would add keep-alive for those who asked for it.
                        *answer.version_mut() = version;
                    }
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            // Who has asked all may say so, and still wants the answer.
            .half_close(true)
            .max_buf_size(HEADER)
            .serve_connection(stream, service);
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            // What a client does wrong on a connection ends that connection, and is nobody else's business.
            let _ = connection.await;
            drop(slot);
        });
    }
}

/// Whether it is the status of an answer that need not have read what was sent. hyper then ends the connection.
fn leaves_the_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    )
}

/// There when the process is told to stop, by SIGINT or SIGTERM; the second time, it ends at once.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    Ok(async move {
        signals.next().await;
        tell(io::stderr(), "stopping; another signal ends it at once");
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(130);
        });
    })
}

#[cfg(unix)]
struct Signals(Signal, Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        // Where there is no such signal, only the end of the process stops it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
