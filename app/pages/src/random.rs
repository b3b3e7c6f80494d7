//! Chance, seeded once, so that a test can repeat a run.

use std::{sync::Mutex, time::Duration};

use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

use crate::shards::lock;

pub(crate) struct Random(Mutex<SmallRng>);

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(Mutex::new(seed.map_or_else(SmallRng::from_os_rng, SmallRng::seed_from_u64)))
    }

    pub(crate) fn number(&self) -> u64 {
        lock(&self.0).next_u64()
    }

    /// A pause drawn evenly from zero to `longest` ("full jitter").
    pub(crate) fn up_to(&self, longest: Duration) -> Duration {
        longest.mul_f64(lock(&self.0).random::<f64>())
    }
}
