//! Requests to an application in this process, without a network.

use std::any::Any;

use actix_http::Request;
use actix_service::Service;
use actix_web::{
    Error,
    body::{MessageBody, to_bytes},
    dev::ServiceResponse,
    http::header::{LOCATION, SET_COOKIE},
    test::TestRequest,
};
use futures_util::future::LocalBoxFuture;

use crate::scenario::{Answer, Ask, Headers, Scenario};

/// An application that answers requests in this thread.
pub(super) trait Client {
    type Request: 'static;
    type Response;

    fn request(&self, ask: &Ask) -> Self::Request;
    fn call(&self, request: Self::Request) -> impl Future<Output = Self::Response>;
    fn read(response: Self::Response) -> impl Future<Output = Answer>;
}

/// A [`Client`] whose types are erased.
pub trait AnyClient {
    /// Sends one request and reads its response.
    fn ask<'a>(&'a self, ask: &'a Ask) -> LocalBoxFuture<'a, Answer>;
    /// Prepares requests for [`answer`](Self::answer).
    fn requests(&self, asks: &[Ask]) -> Box<dyn Any>;
    /// Has the application answer requests of [`requests`](Self::requests), one after the other.
    fn answer(&self, requests: Box<dyn Any>) -> LocalBoxFuture<'_, ()>;
}

impl<C: Client> AnyClient for C {
    /// Sends one request and reads its response.
    fn ask<'a>(&'a self, ask: &'a Ask) -> LocalBoxFuture<'a, Answer> {
        Box::pin(async { C::read(self.call(self.request(ask)).await).await })
    }

    fn requests(&self, asks: &[Ask]) -> Box<dyn Any> {
        let requests: Vec<_> = asks.iter().map(|ask| self.request(ask)).collect();
        Box::new(requests)
    }

    fn answer(&self, requests: Box<dyn Any>) -> LocalBoxFuture<'_, ()> {
        let requests: Box<Vec<C::Request>> = requests
            .downcast()
            .expect("the requests are from `requests`");
        Box::pin(async {
            for request in *requests {
                drop(self.call(request).await);
            }
        })
    }
}

/// An application on actix-web.
pub(super) struct ActixClient<S>(pub(super) S);

impl<S, B> Client for ActixClient<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Request = Request;
    type Response = ServiceResponse<B>;

    fn request(&self, ask: &Ask) -> Request {
        let mut request = if ask.post {
            TestRequest::post()
        } else {
            TestRequest::get()
        };
        request = request
            .uri(ask.path)
            .peer_addr(([127, 0, 0, 1], 40_000).into());
        for header in ask.headers.list(ask.post) {
            request = request.insert_header(header);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.insert_header(("cookie", &**cookie));
        }
        request.to_request()
    }

    async fn call(&self, request: Request) -> Self::Response {
        self.0.call(request).await.expect("an answer")
    }

    async fn read(response: Self::Response) -> Answer {
        let headers = response.headers();
        let text = |value: &actix_web::http::header::HeaderValue| {
            value.to_str().expect("a header is text").to_owned()
        };
        let (location, cookies) = (
            headers.get(LOCATION).map(text),
            headers.get_all(SET_COOKIE).map(text).collect(),
        );
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.ok().expect("a body");
        Answer {
            status,
            location,
            cookies,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Logs users in where the scenario needs it, and returns `count` requests of the scenario.
///
/// # Panics
///
/// If the contender gives a wrong answer.
pub async fn asks(
    client: &dyn AnyClient,
    scenario: Scenario,
    headers: Headers,
    count: usize,
) -> Vec<Ask> {
    let mut asks = Vec::with_capacity(count);
    for _ in 0..count {
        // Each request has its own cookie, since the number of escaped characters differs by chance.
        asks.push(next_ask(client, scenario, headers).await);
    }
    // Checked with one request more, since a request that ends a login works only once.
    let ask = next_ask(client, scenario, headers).await;
    let answer = client.ask(&ask).await;
    scenario
        .check(&answer)
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    asks
}

async fn next_ask(client: &dyn AnyClient, scenario: Scenario, headers: Headers) -> Ask {
    match scenario.log_in(headers) {
        Some(log_in) => {
            let answer = client.ask(&log_in).await;
            Scenario::LogIn
                .check(&answer)
                .unwrap_or_else(|wrong| panic!("{wrong}"));
            scenario.ask(headers, Some(&answer))
        }
        None => scenario.ask(headers, None),
    }
}
