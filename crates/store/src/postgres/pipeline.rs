//! Statements that are sent one after the other without waiting for what each answers: one round trip for all of them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio_postgres::Error;

type Answer<'s, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 's>>;

/// What was sent, in order.
pub(crate) struct Pipeline<'s, T> {
    sent: Vec<Sent<'s, T>>,
}

enum Sent<'s, T> {
    Waiting(Answer<'s, T>),
    Answered(Result<T, Error>),
}

impl<'s, T> Pipeline<'s, T> {
    pub(crate) fn new() -> Self {
        Self { sent: Vec::new() }
    }

    /// How many statements were sent.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Sends a statement: the client does so when its future is polled for the first time.
    pub(crate) async fn send(&mut self, statement: impl Future<Output = Result<T, Error>> + Send + 's) {
        let mut answer: Answer<'s, T> = Box::pin(statement);
        let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        self.sent.push(match first {
            Poll::Ready(answered) => Sent::Answered(answered),
            Poll::Pending => Sent::Waiting(answer),
        });
    }

    /// What each has answered, in order, up to the first error.
    pub(crate) async fn finish(self) -> Result<Vec<T>, (usize, Error)> {
        let mut answers = Vec::with_capacity(self.sent.len());
        for (index, sent) in self.sent.into_iter().enumerate() {
            let answered = match sent {
                Sent::Answered(answered) => answered,
                Sent::Waiting(answer) => answer.await,
            };
            answers.push(answered.map_err(|error| (index, error))?);
        }
        Ok(answers)
    }
}
