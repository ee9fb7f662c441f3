//! [`serve`]: takes connections, and stops without losing a request.

use std::{
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
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
    time::{sleep, timeout},
};

use crate::{App, patience::Patience};

/// How long connections that are open when the server is told to stop may send another request, which is answered and is their
/// last. A client that has just sent one, and does not know yet, gets its answer.
pub const LINGER: Duration = Duration::from_millis(500);

/// The bytes of a request's header.
const HEADER: usize = 16 << 10;

/// Serves until `stop` is there and all that was asked is answered.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let server = Server {
        router: app.router(),
        slots: Arc::new(Semaphore::new(app.limits.connections)),
        connections: GracefulShutdown::new(),
        patience: app.limits.patience,
    };
    tokio::select! {
        () = server.accept(&listener) => {}
        () = stop => {}
    }
    app.stopping.store(true, Ordering::SeqCst);
    server.accept_last(listener);
    let all_ended = async {
        while server.connections.count() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(LINGER, all_ended).await;
    // Those that are idle end now, the others with their answer: header, body, model, and the answer's way.
    let _ = timeout(4 * server.patience, server.connections.shutdown()).await;
}

struct Server {
    router: Router,
    /// A permit for each connection that may be open.
    slots: Arc<Semaphore>,
    connections: GracefulShutdown,
    patience: Duration,
}

impl Server {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let slot = self.slots.clone().acquire_owned().await.expect("it is never closed");
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, Some(slot)),
                // The client has gone, or there are too many files open; that passes.
                Err(error) => {
                    eprintln!("accept: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes all that have connected already, whether there are slots for them or not, and closes the door.
    fn accept_last(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.spawn(stream, None);
            }
        }
    }

    /// Serves a connection, which gives its slot back when it ends.
    fn spawn(&self, stream: TcpStream, slot: Option<OwnedSemaphorePermit>) {
        // Answers are short, and written at once.
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(Patience::new(stream, self.patience));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_buf_size(HEADER)
            .serve_connection(stream, TowerToHyperService::new(self.router.clone()));
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            // What a client does wrong on a connection ends that connection, and is nobody else's business.
            let _ = connection.await;
            drop(slot);
        });
    }
}

/// There when the process is told to stop, by SIGINT or SIGTERM; the second time, it ends at once.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    Ok(async move {
        signals.next().await;
        eprintln!("stopping; another signal ends it at once");
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
