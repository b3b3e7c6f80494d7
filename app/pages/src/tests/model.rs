//! Random histories: clients on two replicas, with a store and a broker that fail in every way, and processes
//! that die at any step. Afterwards the pages, the events and the counts are compared with what the clients
//! were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::world::{
    Edited, Rates, Refusal, Replica, World, add, collection, eventually, keyed, remove, text,
};
use crate::{
    CollectionKey, Configuration, EditError, Once, PageEdit, PageKey, bookkeeping::Directory, summary::Counts,
};

/// What one client does next. Numbers pick a replica, a collection or an entry from those there are.
#[derive(Debug, Clone)]
enum Action {
    Add {
        replica: usize,
        collection: usize,
    },
    /// Twice at the same time, on two replicas, as two requests with one key.
    AddTwice {
        replica: usize,
        collection: usize,
    },
    Extend {
        replica: usize,
        entry: usize,
    },
    Remove {
        replica: usize,
        entry: usize,
        conditional: bool,
    },
    /// Twice at the same time, on two replicas, as two requests with one key.
    RemoveTwice {
        replica: usize,
        entry: usize,
    },
    Read {
        replica: usize,
        entry: usize,
    },
    Pause {
        milliseconds: u64,
    },
}

#[derive(Debug, Clone)]
struct Crash {
    replica: usize,
    /// Steps of calls to the store and the broker until it dies.
    after_steps: i64,
    restart_after: Duration,
    /// It comes back as another instance, as a replaced machine does.
    renamed: bool,
}

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    rates: (u32, u32, u32),
    counts_etags: bool,
    clients: Vec<Vec<Action>>,
    crashes: Vec<Crash>,
    /// The store is gone for a while: when, and for how long, in milliseconds.
    outage: Option<(u64, u64)>,
}

fn action() -> impl Strategy<Value = Action> {
    let (replica, entry) = (0..2usize, 0..64usize);
    prop_oneof![
        4 => (replica.clone(), 0..2usize).prop_map(|(replica, collection)| Action::Add { replica, collection }),
        4 => (replica.clone(), 0..2usize)
            .prop_map(|(replica, collection)| Action::AddTwice { replica, collection }),
        6 => (replica.clone(), entry.clone()).prop_map(|(replica, entry)| Action::Extend { replica, entry }),
        1 => (replica.clone(), entry.clone(), any::<bool>())
            .prop_map(|(replica, entry, conditional)| Action::Remove { replica, entry, conditional }),
        2 => (replica.clone(), entry.clone())
            .prop_map(|(replica, entry)| Action::RemoveTwice { replica, entry }),
        2 => (replica, entry).prop_map(|(replica, entry)| Action::Read { replica, entry }),
        1 => (0..600u64).prop_map(|milliseconds| Action::Pause { milliseconds }),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    (0..2usize, 0..400i64, 0..40_000u64, any::<bool>()).prop_map(
        |(replica, after_steps, restart, renamed)| Crash {
            replica,
            after_steps,
            restart_after: Duration::from_millis(restart),
            renamed,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        any::<u64>(),
        (0..6u32, 0..25u32, 0..30u32),
        prop::bool::weighted(0.8),
        vec(vec(action(), 1..30), 1..6),
        vec(crash(), 0..4),
        prop::option::weighted(0.3, (0..2_000u64, 100..30_000u64)),
    )
        .prop_map(|(seed, rates, counts_etags, clients, crashes, outage)| Plan {
            seed,
            rates,
            counts_etags,
            clients,
            crashes,
            outage,
        })
}

/// What a client was told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Done,
    /// It may have happened.
    Unknown,
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    page: PageKey,
    /// The highest version that anybody was told of.
    version: u64,
}

/// What the clients were told.
#[derive(Default)]
struct Ledger {
    entries: Vec<Known>,
    /// Names under which an entry may exist, by the request that added it: exactly one if it was told done.
    adds: Vec<(BTreeSet<String>, Told)>,
    /// Words given to entries. What is not here must not be found.
    words: BTreeMap<(String, String), Told>,
    removals: BTreeMap<String, Told>,
}

struct Run {
    world: World,
    replicas: Mutex<Vec<Replica>>,
    ledger: Mutex<Ledger>,
    collections: Vec<CollectionKey>,
    plan: Plan,
}

fn configuration(instance: &str) -> Configuration {
    Configuration {
        entries_per_page: 4,
        attempts: 4,
        resolve_within: Duration::from_secs(1),
        idle_after: Duration::from_secs(2),
        register_slots: 3,
        edit_keys_per_page: 4,
        ..World::configuration(instance)
    }
}

impl Run {
    fn start(&self, instance: &str, rates: Rates) -> Replica {
        self.world.start(configuration(instance), None, self.plan.counts_etags, rates)
    }

    fn rates(&self) -> Rates {
        let (get, save, publish) = self.plan.rates;
        Rates { get, save, publish }
    }

    fn replica(&self, index: usize) -> Replica {
        self.replicas.lock().unwrap()[index].clone()
    }

    fn pick(&self, entry: usize) -> Option<Known> {
        let ledger = self.ledger.lock().unwrap();
        (!ledger.entries.is_empty()).then(|| ledger.entries[entry % ledger.entries.len()].clone())
    }

    async fn act(&self, client: usize, step: usize, action: &Action) {
        let name = format!("c{client}s{step}");
        match *action {
            Action::Add { replica, collection } => self.add(replica, collection, &name).await,
            Action::AddTwice { replica, collection } => {
                self.add_twice(replica, collection, client, step).await;
            }
            Action::Extend { replica, entry } => {
                let Some(known) = self.pick(entry) else { return };
                let at_least = known.version;
                let answer = self.replica(replica).extend(&known.page, &known.name, &name).await;
                let told = match answer {
                    Ok(version) => {
                        assert!(version > at_least, "an acknowledged version was overwritten");
                        self.saw(&known.name, version);
                        Told::Done
                    }
                    Err(EditError::OutcomeUnknown(_)) => Told::Unknown,
                    Err(EditError::Rejected(Refusal::NoEntry)) => {
                        assert!(self.may_be_removed(&known.name), "an entry is gone");
                        return;
                    }
                    Err(_) => return,
                };
                self.ledger.lock().unwrap().words.insert((known.name, name), told);
            }
            Action::Remove { replica, entry, conditional } => {
                let Some(known) = self.pick(entry) else { return };
                let edit = remove(&known.name, conditional.then_some(known.version));
                // It may happen from now on.
                self.ledger.lock().unwrap().removals.entry(known.name.clone()).or_insert(Told::Unknown);
                match self.replica(replica).pages.edit(&known.page, edit).await {
                    Ok(()) => {
                        self.ledger.lock().unwrap().removals.insert(known.name, Told::Done);
                    }
                    Err(EditError::Rejected(Refusal::Stale { current })) => {
                        assert!(
                            current >= known.version,
                            "rejected by a page older than what was acknowledged"
                        );
                    }
                    Err(_) => {}
                }
            }
            Action::RemoveTwice { replica, entry } => self.remove_twice(replica, entry, client, step).await,
            Action::Read { replica, entry } => {
                let Some(known) = self.pick(entry) else { return };
                let Ok(view) = self.replica(replica).pages.read(&known.page).await else { return };
                match view.get(&known.name) {
                    Some(found) => {
                        assert!(found.version >= known.version, "a read missed an acknowledged edit");
                    }
                    None => assert!(self.may_be_removed(&known.name), "a read missed an entry"),
                }
            }
            Action::Pause { milliseconds } => sleep(Duration::from_millis(milliseconds)).await,
        }
    }

    async fn add(&self, replica: usize, collection: usize, name: &str) {
        let key = &self.collections[collection];
        let answer = self.replica(replica).pages.append(key, None, add(name)).await;
        let told = match answer {
            Ok(Once::First(number)) => {
                self.knows(name, key.page(number));
                Told::Done
            }
            Ok(Once::Again(_)) => panic!("recognised without a key"),
            Err(EditError::OutcomeUnknown(_)) => Told::Unknown,
            Err(EditError::Rejected(refusal)) => panic!("a fresh name was refused: {refusal:?}"),
            Err(_) => return,
        };
        self.ledger.lock().unwrap().adds.push((BTreeSet::from([name.to_owned()]), told));
    }

    async fn add_twice(&self, replica: usize, collection: usize, client: usize, step: usize) {
        let key = &self.collections[collection];
        let request = keyed(u64::try_from(client * 1000 + step).unwrap(), 7);
        let mut names = BTreeSet::new();
        // A client that was not told goes on asking, as it should.
        for round in 0..6 {
            let first = format!("c{client}s{step}r{round}a");
            let second = format!("c{client}s{step}r{round}b");
            names.extend([first.clone(), second.clone()]);
            let (one, other) = (self.replica(replica), self.replica(1 - replica));
            let (one, other) =
                tokio::join!(one.add_once(key, &first, request), other.add_once(key, &second, request));
            let answers = [(first, one), (second, other)].map(|(name, answer)| entry_of(key, &name, answer));
            let told: BTreeSet<(String, PageKey)> = answers.into_iter().flatten().collect();
            assert!(told.len() <= 1, "one key led to two entries: {told:?}");
            if let Some((name, page)) = told.into_iter().next() {
                self.knows(&name, page);
                self.ledger.lock().unwrap().adds.push((names, Told::Done));
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
        self.ledger.lock().unwrap().adds.push((names, Told::Unknown));
    }

    async fn remove_twice(&self, replica: usize, entry: usize, client: usize, step: usize) {
        let Some(known) = self.pick(entry) else { return };
        // It may happen from now on.
        self.ledger.lock().unwrap().removals.entry(known.name.clone()).or_insert(Told::Unknown);
        let request = keyed(u64::try_from(client * 1000 + step).unwrap(), 8);
        let edit = |answer: &'static str| {
            let remove = remove(&known.name, None);
            move |page: &mut PageEdit<'_>| {
                remove(page)?;
                page.answer(Bytes::from_static(answer.as_bytes()));
                Ok::<_, Refusal>(answer)
            }
        };
        let (one, other) = (self.replica(replica), self.replica(1 - replica));
        let (one, other) = tokio::join!(
            one.pages.edit_once(&known.page, request, edit("one")),
            other.pages.edit_once(&known.page, request, edit("other"))
        );
        let told: BTreeSet<Bytes> = [one, other]
            .into_iter()
            .filter_map(|answer| match answer {
                Ok(Once::First(answer)) => Some(Bytes::from_static(answer.as_bytes())),
                Ok(Once::Again(first)) => {
                    assert_eq!((first.page, first.entry), (known.page.clone(), None));
                    Some(first.answer)
                }
                Err(EditError::KeyReused) => panic!("the same request was taken for another"),
                Err(_) => None,
            })
            .collect();
        assert!(told.len() <= 1, "one request was carried out twice: {told:?}");
        if !told.is_empty() {
            self.ledger.lock().unwrap().removals.insert(known.name.clone(), Told::Done);
        }
    }

    fn knows(&self, name: &str, page: PageKey) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.entries.push(Known { name: name.to_owned(), page, version: 1 });
    }

    fn saw(&self, name: &str, version: u64) {
        let mut ledger = self.ledger.lock().unwrap();
        let known = ledger.entries.iter_mut().find(|known| known.name == name).unwrap();
        known.version = known.version.max(version);
    }

    fn may_be_removed(&self, name: &str) -> bool {
        self.ledger.lock().unwrap().removals.contains_key(name)
    }

    async fn crash(&self, crash: Crash, generation: usize) {
        let victim = self.replica(crash.replica);
        let died = victim.fate.died.notified();
        victim.fate.die_after(crash.after_steps);
        // A quiet process makes too few steps: it is killed then.
        if timeout(Duration::from_secs(20), died).await.is_err() {
            victim.fate.die();
        }
        sleep(crash.restart_after).await;
        let name = if crash.renamed {
            format!("replica-{}-{generation}", crash.replica)
        } else {
            victim.pages.engine.configuration.instance.clone()
        };
        let successor = self.start(&name, self.rates());
        let crashed = std::mem::replace(&mut self.replicas.lock().unwrap()[crash.replica], successor);
        crashed.crash().await;
    }

    async fn play(self: Arc<Self>) {
        let mut clients = JoinSet::new();
        for (client, actions) in self.plan.clients.clone().into_iter().enumerate() {
            let run = self.clone();
            clients.spawn(async move {
                for (step, action) in actions.iter().enumerate() {
                    // A client of a process that dies hears nothing any more.
                    let act = run.act(client, step, action);
                    if timeout(Duration::from_secs(90), act).await.is_err() {
                        run.unheard(client, step, action);
                    }
                }
            });
        }
        let run = self.clone();
        clients.spawn(async move {
            for (generation, crash) in run.plan.crashes.clone().into_iter().enumerate() {
                run.crash(crash, generation).await;
            }
        });
        if let Some((at, lasts)) = self.plan.outage {
            let run = self.clone();
            clients.spawn(async move {
                sleep(Duration::from_millis(at)).await;
                for down in [true, false] {
                    for replica in run.replicas.lock().unwrap().iter() {
                        replica.fate.store_is_down(down);
                    }
                    if down {
                        sleep(Duration::from_millis(lasts)).await;
                    }
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }

    /// The client gave up waiting: anything may have happened.
    fn unheard(&self, client: usize, step: usize, action: &Action) {
        let name = format!("c{client}s{step}");
        let mut ledger = self.ledger.lock().unwrap();
        match *action {
            Action::Add { .. } => ledger.adds.push((BTreeSet::from([name]), Told::Unknown)),
            Action::AddTwice { .. } => {
                let names = (0..6).flat_map(|round| ["a", "b"].map(|half| format!("{name}r{round}{half}")));
                ledger.adds.push((names.collect(), Told::Unknown));
            }
            Action::Extend { .. } => {
                for known in ledger.entries.clone() {
                    ledger.words.insert((known.name, name.clone()), Told::Unknown);
                }
            }
            Action::Remove { .. }
            | Action::RemoveTwice { .. }
            | Action::Read { .. }
            | Action::Pause { .. } => {}
        }
    }

    /// Nothing fails any more: what was left undone gets done.
    async fn settle(&self) {
        for replica in self.replicas.lock().unwrap().iter() {
            replica.fate.set_rates(Rates::default());
            replica.fate.store_is_down(false);
            replica.fate.die_after(i64::MAX);
        }
        let names: BTreeSet<String> = {
            let replicas = self.replicas.lock().unwrap();
            replicas.iter().map(|replica| replica.pages.engine.configuration.instance.clone()).collect()
        };
        eventually("all processes that died are swept", || {
            let stored = self.world.memory.peek("pages/test/directory");
            let directory = stored.map(|stored| Directory::decode(stored.value).unwrap()).unwrap_or_default();
            let living: BTreeSet<String> =
                directory.incarnations.iter().map(|incarnation| incarnation.instance.clone()).collect();
            living.is_subset(&names) && living.len() == directory.incarnations.len()
        })
        .await;
        eventually("all outboxes are empty", || {
            self.page_keys().iter().all(|page| self.world.memory.outbox(page) == 0)
        })
        .await;
        // Longer than summaries, repeats of failed reads and put-away pages take.
        sleep(Duration::from_secs(30)).await;
    }

    fn page_keys(&self) -> Vec<PageKey> {
        let keys =
            self.collections.iter().flat_map(|collection| self.world.memory.keys(&format!("{collection}/")));
        keys.filter_map(|key| PageKey::parse(&key)).collect()
    }

    async fn compare(&self) {
        let ledger = std::mem::take(&mut *self.ledger.lock().unwrap());
        let mut found: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
        let mut tallies: BTreeMap<CollectionKey, BTreeMap<String, u64>> = BTreeMap::new();
        for page in self.page_keys() {
            for entry in self.world.memory.page(&page).entries() {
                let words = text(&entry.value).split(',').skip(1).map(str::to_owned).collect();
                let twin = found.insert(entry.id.clone(), (entry.version, words));
                assert_eq!(twin, None, "{} exists twice", entry.id);
                let tally = tallies.entry(page.collection().clone()).or_default();
                *tally.entry(entry.label.clone()).or_default() += 1;
            }
        }

        self.compare_numbers();
        let told = self.told_by_events();
        for (names, outcome) in &ledger.adds {
            let added: Vec<&String> = names.iter().filter(|name| told.contains_key(*name)).collect();
            assert!(added.len() <= 1, "one request added {added:?}");
            if *outcome == Told::Done {
                assert_eq!(added.len(), 1, "an acknowledged add of {names:?} has no event");
                let is_removed = ledger.removals.contains_key(added[0]);
                assert!(is_removed || found.contains_key(added[0]), "acknowledged {} is lost", added[0]);
            }
        }
        let possible: BTreeSet<&String> = ledger.adds.iter().flat_map(|(names, _)| names).collect();
        for (name, (version, words)) in &found {
            assert!(possible.contains(name), "{name} was said not to be added, and is there");
            let history = &told[name];
            let expected: Vec<String> = [vec!["added".to_owned()], words.clone()].concat();
            assert_eq!(*history, expected, "events and entry of {name} differ");
            assert_eq!(*version, history.len() as u64);
            assert_ne!(ledger.removals.get(name), Some(&Told::Done), "{name} was removed, and is there");
        }
        for (name, history) in &told {
            if !found.contains_key(name) {
                assert_eq!(history.last().map(String::as_str), Some("removed"), "{name} is gone untold");
            }
            for word in history.iter().filter(|word| !["added", "removed"].contains(&word.as_str())) {
                let known = ledger.words.contains_key(&(name.clone(), word.clone()));
                assert!(known, "{word} was said not to be given to {name}, and was");
                assert_eq!(
                    history.iter().filter(|other| *other == word).count(),
                    1,
                    "{word} was given twice"
                );
            }
        }
        for ((name, word), outcome) in &ledger.words {
            if *outcome == Told::Done {
                assert!(told[name].contains(word), "acknowledged {word} of {name} is lost");
            }
        }

        for key in &self.collections {
            let tally = tallies.remove(key).unwrap_or_default();
            let stored = self.world.memory.peek(&format!("{key}/summary")).map(|stored| stored.value);
            let counts = Counts::decode(key, stored).unwrap().summary();
            assert_eq!(counts.tally, tally, "the counts of {key} have not healed");
            let live: Vec<u32> = counts.live_pages.iter().map(|page| page.number).collect();
            for number in 0..counts.pages {
                let page = self.world.memory.page(&key.page(number));
                let is_dead = page.is_sealed() && page.entries().is_empty();
                assert!(
                    !(is_dead && live.contains(&number)),
                    "page {number} of {key} is counted, and is dead"
                );
                assert!(is_dead || number >= counts.dead_before, "page {number} of {key} is not dead");
            }
            let read = self.replica(0).pages.summary(key).await.unwrap();
            assert_eq!(read.tally, tally);
        }
    }

    /// Numbers follow each other over the pages of a collection, and none is given twice.
    fn compare_numbers(&self) {
        for key in &self.collections {
            let mut next = 1;
            let bodies = (0..).map(|number| self.world.memory.page(&key.page(number)));
            for page in bodies.take_while(|page| page.first_number() > 0) {
                assert_eq!(page.first_number(), next, "{} does not go on with the numbers", page.key());
                next = page.body().next_number();
                let numbers: Vec<u64> = page.entries().iter().map(|entry| entry.number).collect();
                assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
                assert!(numbers.iter().all(|number| (page.first_number()..next).contains(number)));
            }
        }
    }

    /// What the events say happened to each entity, in the order of their first deliveries.
    fn told_by_events(&self) -> BTreeMap<String, Vec<String>> {
        let mut first_ids = BTreeMap::new();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for delivery in self.world.broker.deliveries() {
            let first = *first_ids.entry(delivery.payload.clone()).or_insert(delivery.id);
            assert_eq!(first, delivery.id, "{} was repeated with another id", delivery.payload);
        }
        for payload in self.world.broker.first_payloads() {
            let mut parts = payload.split(' ');
            let (entity, version, what) = (
                parts.next().unwrap(),
                parts.next().unwrap().parse::<usize>().unwrap(),
                parts.next().unwrap(),
            );
            let history = told.entry(entity.to_owned()).or_default();
            assert_eq!(version, history.len() + 1, "out of order: {payload} after {history:?}");
            history.push(what.to_owned());
        }
        told
    }

    async fn drain(&self) {
        let replicas = self.replicas.lock().unwrap().clone();
        for replica in replicas {
            let drained = replica.pages.drain(Duration::from_secs(30)).await;
            assert!(drained.is_complete(), "{drained:?}");
        }
        let stored = self.world.memory.peek("pages/test/directory");
        let directory = stored.map(|stored| Directory::decode(stored.value).unwrap()).unwrap_or_default();
        assert_eq!(directory.incarnations, [], "a drained process is still listed");
    }
}

fn entry_of(key: &CollectionKey, name: &str, answer: Edited<Once<u32>>) -> Option<(String, PageKey)> {
    match answer {
        Ok(Once::First(number)) => Some((name.to_owned(), key.page(number))),
        Ok(Once::Again(first)) => {
            let entry = first.entry.expect("an add puts an entry");
            assert_eq!(text(&entry.value), entry.id, "not the first answer");
            assert_eq!(entry.version, 1);
            Some((entry.id, first.page))
        }
        Err(EditError::KeyReused) => panic!("the same request was taken for another"),
        Err(EditError::Rejected(refusal)) => panic!("a fresh name was refused: {refusal:?}"),
        Err(_) => None,
    }
}

fn check(plan: Plan) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(plan.seed);
        let collections = vec![collection("tasks/one"), collection("tasks/two")];
        let run = Run { world, replicas: Mutex::default(), ledger: Mutex::default(), collections, plan };
        let replicas = ["replica-0", "replica-1"].map(|name| run.start(name, run.rates()));
        *run.replicas.lock().unwrap() = replicas.to_vec();
        let run = Arc::new(run);
        run.clone().play().await;
        run.settle().await;
        run.compare().await;
        run.drain().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_nothing_acknowledged_is_lost_and_every_event_goes_out_in_order(plan in plan()) {
        check(plan);
    }
}
