//! A value, or the future that makes it. The value avoids the allocation of a future.

use std::{
    future::{Future, pending},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

/// A value, or the future that makes it.
pub(crate) enum Outcome<T> {
    Now(T),
    Later(Pin<Box<dyn Future<Output = T>>>),
}

impl<T: Unpin + 'static> Future for Outcome<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // If it is polled again after the value, it stays pending. A box of `pending` needs no memory.
        match mem::replace(&mut *self, Self::Later(Box::pin(pending()))) {
            Self::Now(value) => Poll::Ready(value),
            Self::Later(mut future) => {
                let poll = future.as_mut().poll(cx);
                *self = Self::Later(future);
                poll
            }
        }
    }
}
