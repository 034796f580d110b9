//! How requests come to the API server and how answers are lost: connections in memory, and faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use tokio::time::sleep;

use crate::faults::Fault;
use crate::routes::{place, refusal};
use crate::server::Server;
use crate::stream::{Body, half};

impl Server {
    /// The client of the operator in that pod. While `cut` is true, nothing gets through.
    pub(crate) fn client(self: &Arc<Self>, pod: &str, cut: &Arc<AtomicBool>) -> Client {
        let (server, pod, cut) = (Arc::clone(self), pod.to_owned(), Arc::clone(cut));
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (server, pod, cut) = (Arc::clone(&server), pod.clone(), Arc::clone(&cut));
            async move {
                if cut.load(Ordering::Relaxed) || server.state().away {
                    return Err(Box::<dyn std::error::Error + Send + Sync>::from("connection refused"));
                }
                let (parts, body) = request.into_parts();
                let request = Request::from_parts(parts, Full::new(body.collect_bytes().await?));
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(server.serve(theirs, pod, cut));
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
                tokio::spawn(connection);
                Ok(sender.send_request(request).await?)
            }
        });
        Client::new(service, "default")
    }

    async fn serve(self: Arc<Self>, connection: tokio::io::DuplexStream, pod: String, cut: Arc<AtomicBool>) {
        let mut restarts = self.restarts.subscribe();
        let service = service_fn(|request| Arc::clone(&self).answer(pod.clone(), request));
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
        let is_cut = async {
            if !cut.load(Ordering::Relaxed) {
                // An error says that the server is gone.
                let _ = restarts.changed().await;
            }
        };
        tokio::select! {
            _ = serving => {}
            () = is_cut => {}
        }
    }

    async fn answer(
        self: Arc<Self>,
        pod: String,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let query: BTreeMap<String, String> = parts.uri.query().map(pairs).unwrap_or_default();
        let is_watch = query.contains_key("watch");
        let fault = {
            let mut state = self.state();
            state.requests += 1;
            let is_silent =
                place(parts.uri.path()).is_some_and(|(resource, ..)| state.silent.contains(resource));
            if is_silent { Fault::Silent } else { state.faults.of_request(is_watch) }
        };
        let lost = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection ends");
        match fault {
            Fault::Refused(code) => return Ok(refusal(code, "ServiceUnavailable", "try again later", "")),
            Fault::TooOld => return Ok(refusal(410, "Expired", "too old resource version", "")),
            Fault::LostBefore => return Err(lost()),
            Fault::Late(by) => sleep(by).await,
            Fault::None | Fault::LostAfter | Fault::Cut | Fault::Silent => {}
        }
        let answer = self.handle(&parts.method, parts.uri.path(), &query, &sent);
        if parts.method == Method::POST && place(parts.uri.path()).is_some_and(|(of, ..)| of == "jobs") {
            *self.state().answers.entry((pod, answer.status().as_u16())).or_default() += 1;
        }
        match fault {
            Fault::LostAfter => Err(lost()),
            Fault::Silent => std::future::pending().await,
            Fault::Cut if !is_watch => {
                let (parts, body) = answer.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Response::from_parts(parts, half(&[body])))
            }
            Fault::Cut
            | Fault::None
            | Fault::Refused(_)
            | Fault::TooOld
            | Fault::LostBefore
            | Fault::Late(_) => Ok(answer),
        }
    }
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
