//! Saves that wait at the same time share one call of the sidecar.
//!
//! The sidecar carries them out side by side, each on its own: nothing makes them one transaction. If one fails,
//! the call fails without saying which, so that the outcome of each is unknown to its caller. A save that is
//! alone in its call is told exactly.
//!
//! A save waits at most its deadline, in the queue and in its call together. What is still in the queue then is not
//! sent any more, so that a store that hangs is not met by everything that was wanted of it meanwhile.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dapr::dapr::proto::{common::v1::StateItem, runtime::v1::SaveStateRequest};
use tidemark_pages::{SaveError, StoreError};
use tokio::{sync::oneshot, time::timeout};
use tonic::Code;

use super::sidecar::{Client, Sidecar, SidecarError};
use crate::telemetry::trace_context::TraceContext;

/// Calls under way at a time: what comes meanwhile shares the next one.
const CALLS: usize = 2;
/// Saves in one call.
const MOST_ITEMS: usize = 16;
/// Bytes of values in one call; a single larger one still goes.
const MOST_BYTES: usize = 1 << 20;

/// The queue of one store.
#[derive(Clone)]
pub struct SaveQueue(Arc<Shared>);

struct Shared {
    sidecar: Sidecar,
    component: String,
    deadline: Duration,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Bounded by those who wait: each page in use saves once at a time. What nobody waits for any more goes with the
    /// next call.
    waiting: VecDeque<Waiting>,
    calls: usize,
}

struct Waiting {
    item: StateItem,
    trace: Option<TraceContext>,
    reply: oneshot::Sender<Result<(), SaveError>>,
}

impl SaveQueue {
    pub fn new(sidecar: Sidecar, component: String, deadline: Duration) -> Self {
        Self(Arc::new(Shared { sidecar, component, deadline, queue: Mutex::default() }))
    }

    /// Saves the item, perhaps together with others.
    pub async fn save(&self, item: StateItem) -> Result<(), SaveError> {
        let (reply, answer) = oneshot::channel();
        let begins_call = {
            let mut queue = self.0.lock();
            queue.waiting.push_back(Waiting { item, trace: TraceContext::current(), reply });
            let begins = queue.calls < CALLS;
            queue.calls += usize::from(begins);
            begins
        };
        if begins_call {
            // Not by this caller: it may be cancelled, and the others' saves with it.
            tokio::spawn(Arc::clone(&self.0).work());
        }
        let given_up = |cause| Err(SaveError::Unknown(StoreError::new(cause)));
        match timeout(self.0.deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => given_up("the save was given up"),
            Err(_) => given_up("the save took too long"),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: Arc<Self>) {
        loop {
            let batch = {
                let mut queue = self.lock();
                let batch = queue.take();
                if batch.is_empty() {
                    queue.calls -= 1;
                    return;
                }
                batch
            };
            self.save_together(batch).await;
        }
    }

    async fn save_together(&self, batch: Vec<Waiting>) {
        let is_alone = batch.len() == 1;
        // One call can belong to one trace only.
        let trace = batch.iter().filter_map(|one| one.trace).find(|trace| trace.is_recorded());
        let (states, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.item, one.reply)).unzip();
        let request = SaveStateRequest { store_name: self.component.clone(), states };
        let send = |mut client: Client, request| async move { client.save_state(request).await };
        let call = self.sidecar.call("save_state", request, self.deadline, send);
        let saved = TraceContext::scope_of(trace, call).await;
        let outcome = saved.map_err(|fault| save_error(fault, is_alone));
        for reply in replies {
            // Nobody may be waiting any more.
            drop(reply.send(outcome.clone()));
        }
    }
}

impl Queue {
    /// The next saves that fit one call. Two of the same item don't: they would overtake each other.
    fn take(&mut self) -> Vec<Waiting> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut keys = HashSet::new();
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        while let Some(next) = self.waiting.front() {
            bytes += next.item.value.len();
            let fits = batch.len() < MOST_ITEMS && bytes <= MOST_BYTES && keys.insert(next.item.key.clone());
            if !fits && !batch.is_empty() {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

/// What a failed save or delete means.
pub fn save_error(fault: SidecarError, is_alone: bool) -> SaveError {
    // `Aborted` is what a mismatch looks like, though an outage may look like that too.
    if is_alone && fault.code == Code::Aborted {
        SaveError::Refused(StoreError::new(fault))
    } else {
        SaveError::Unknown(StoreError::new(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answers = Vec<oneshot::Receiver<Result<(), SaveError>>>;

    fn queue(items: &[(&str, usize)]) -> (Queue, Answers) {
        let waiting = items.iter().map(|(key, bytes)| {
            let item = StateItem { key: (*key).to_owned(), value: vec![0; *bytes], ..StateItem::default() };
            let (reply, answer) = oneshot::channel();
            (Waiting { item, trace: None, reply }, answer)
        });
        let (waiting, answers) = waiting.unzip();
        (Queue { waiting, calls: 0 }, answers)
    }

    fn calls((mut queue, _answers): (Queue, Answers)) -> Vec<Vec<String>> {
        let mut calls = Vec::new();
        loop {
            let batch = queue.take();
            if batch.is_empty() {
                return calls;
            }
            calls.push(batch.into_iter().map(|waiting| waiting.item.key).collect());
        }
    }

    #[test]
    fn saves_of_different_items_share_a_call() {
        assert_eq!(calls(queue(&[("a", 1), ("b", 1), ("c", 1)])), [["a", "b", "c"]]);
    }

    #[test]
    fn two_saves_of_one_item_never_share_a_call_and_keep_their_order() {
        assert_eq!(calls(queue(&[("a", 1), ("b", 1), ("a", 2), ("c", 1)])), [["a", "b"], ["a", "c"]]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let (queue, mut answers) = queue(&[("a", 1), ("b", 1), ("a", 2), ("c", 1)]);
        drop(answers.remove(0));
        assert_eq!(calls((queue, answers)), [["b", "a", "c"]]);
    }

    #[test]
    fn a_call_holds_so_many_items_and_bytes_but_at_least_one() {
        let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let many: Vec<(&str, usize)> = many.iter().map(|key| (key.as_str(), 1)).collect();
        assert_eq!(calls(queue(&many)).iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 8]);
        let large = [("a", MOST_BYTES / 2), ("b", MOST_BYTES / 2), ("c", 1), ("d", 2 * MOST_BYTES), ("e", 1)];
        assert_eq!(calls(queue(&large)), [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"]]);
    }
}
