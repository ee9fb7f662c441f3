//! [`App`]: what a request is answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        Method, StatusCode, Uri,
        header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cornu::{Shape, prelude::*};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Duration, timeout},
};

use crate::{
    Batcher, Limits,
    batcher::Refusal,
    instances::{parse, predictions},
};

/// What all requests share.
pub struct App {
    batcher: Batcher,
    input: Shape,
    output: Shape,
    /// Whether all weights are numbers. If not, no answer will be.
    finite: bool,
    /// How the model takes images, if it does.
    images: cornu::Result<ImageInput>,
    /// A PNG takes far more memory and time than its bytes tell, so few are decoded at a time.
    decoders: Arc<Semaphore>,
    pub limits: Limits,
    /// Set once the server is told to stop: each answer then ends its connection.
    pub stopping: AtomicBool,
}

impl App {
    pub fn new(model: Model, limits: Limits) -> Arc<Self> {
        let (input, output) = (model.input_shape(), model.output_shape());
        let images = model.image_input().map(|images| images.max_bytes(limits.decoded as u64));
        let finite = model.params().iter().all(|weight| weight.is_finite());
        let batcher = Batcher::new(&limits, move |x| model.predict(x));
        let (decoders, stopping) = (Arc::new(Semaphore::new(2)), AtomicBool::new(false));
        Arc::new(App { batcher, input, output, finite, images, decoders, limits, stopping })
    }

    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/health", get(health))
            .route("/predict", post(predict))
            .fallback(not_found)
            .method_not_allowed_fallback(wrong_method)
            .with_state(self.clone())
    }

    /// What `work` gives, if it does so in time.
    async fn in_time<T>(&self, status: StatusCode, what: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
        let Limits { patience, .. } = self.limits;
        let late = |_| Failure::new(status, format!("{what} took longer than {} s", patience.as_secs_f64()));
        timeout(patience, work).await.map_err(late)
    }

    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
        let max = self.limits.bytes;
        let too_large = || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes"));
        // Refused before it is sent.
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > max as u64) {
            return Err(too_large());
        }
        let body = Limited::new(body, max).collect();
        let body = self.in_time(StatusCode::REQUEST_TIMEOUT, "the body of the request", body).await?;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(),
            false => Failure::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")),
        })?;
        Ok(body.to_bytes())
    }

    /// The sample in a PNG.
    async fn decode(&self, png: Bytes) -> Result<Tensor, Failure> {
        let bad_request = |message: String| Failure::new(StatusCode::BAD_REQUEST, message);
        let unsupported = |error: &Error| Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string());
        let images = self.images.as_ref().map_err(unsupported)?.clone();
        if !png.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Err(bad_request("the body is no PNG: it begins with other bytes".to_owned()));
        }
        let decoder = self.decoders.clone().acquire_owned().await.expect("it is never closed");
        let sample = spawn_blocking(move || {
            // Kept until the end, even when nobody waits for the sample any more.
            let _decoder = decoder;
            images.decode(&png)
        });
        let sample = sample.await;
        let sample = sample.map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "decoding panicked"))?;
        sample.map_err(|error| bad_request(error.to_string()))
    }
}

async fn page() -> impl IntoResponse {
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)];
    (headers, include_str!("page.html"))
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, text) = match app.stopping.load(Ordering::SeqCst) {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let health = json!({ "status": text, "input": app.input.dims(), "output": app.output.dims() });
    answer(status, health.to_string())
}

async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // As TensorFlow Serving does, what is not said to be an image is taken for JSON.
    let image = kind.strip_prefix("image/");
    let samples = match image {
        None => {
            let body = app.body(&parts.headers, body).await?;
            let bad_request = |message| Failure::new(StatusCode::BAD_REQUEST, message);
            parse(&body, app.input, app.limits.instances()).map_err(bad_request)?
        }
        Some("png") => {
            let body = app.body(&parts.headers, body).await?;
            app.in_time(StatusCode::SERVICE_UNAVAILABLE, "decoding", app.decode(body)).await??
        }
        Some(_) => {
            let message = format!("expected JSON or image/png, got {kind}");
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    let failed = |message| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message);
    let n = samples.shape().dims()[0];
    let answers = app.batcher.predict(samples);
    let answers = app.in_time(StatusCode::SERVICE_UNAVAILABLE, "the model", answers).await?;
    let answers = answers.map_err(|refusal| match refusal {
        Refusal::Full => {
            let most = app.limits.queue;
            let message =
                format!("at most {most} samples wait for the model, and there is no room for {n} more; try again");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
        Refusal::Failed(message) => failed(format!("the model failed: {message}")),
    })?;
    let json = predictions(&answers).map_err(|message| match app.finite {
        false => failed(format!("{message}, and so have its weights")),
        // No pixel is.
        true if image.is_some() => failed(format!("{message}: its weights are too large")),
        true => {
            let message = format!("{message}: the instance's numbers are too large for it, or its weights are");
            Failure::new(StatusCode::BAD_REQUEST, message)
        }
    })?;
    Ok(answer(StatusCode::OK, json))
}

async fn not_found(uri: Uri) -> Failure {
    let message = format!("there is no {}, but /, /health and /predict", uri.path());
    Failure::new(StatusCode::NOT_FOUND, message)
}

async fn wrong_method(method: Method, uri: Uri) -> Failure {
    let expected = if uri.path() == "/predict" { "POST" } else { "GET" };
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} expects {expected}, got {method}", uri.path()))
}

fn answer(status: StatusCode, json: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

/// An answer that says what is wrong, as TensorFlow Serving does: `{"error": "..."}`.
pub struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }
}

/// The characters of a message that are sent; one may quote what came.
const MESSAGE: usize = 400;

/// When to try again after a refusal.
const RETRY: Duration = Duration::from_secs(1);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let message = match self.message.char_indices().nth(MESSAGE) {
            Some((end, _)) => format!("{}…", &self.message[..end]),
            None => self.message,
        };
        let mut response = answer(self.status, json!({ "error": message }).to_string());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY.as_secs().into());
        }
        response
    }
}
