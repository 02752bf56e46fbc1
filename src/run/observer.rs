//! Looks at clusters and plans from what was seen: the part of a pass that only reads.
//!
//! Keeps what successive looks have shown (`Sighting`) between passes. Every command that shows something uses this; only
//! `reconcile` adds a writer to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::decide::evidence::IdleLeader;
use crate::decide::plan::{Inputs, Wanted, plan};
use crate::decide::references::{Unapplied, held_by, plan_supporting};
use crate::decide::sighting::{Moment, Sighting};
use crate::decide::wait::awaited;
use crate::edge::apiserver::Reader;
use crate::model::desired::{Desired, Supporting};
use crate::model::key::Key;
use crate::model::observed::ObservedCluster;
use crate::model::plan::{ClusterPlan, SupportingPlan};

pub struct Observer {
    pub reader: Reader,
    sightings: HashMap<Key, Sighting>,
    started: Instant,
    idle_leader: IdleLeader,
}

impl Observer {
    pub fn new(reader: Reader, idle_leader: IdleLeader) -> Self {
        Self {
            reader,
            sightings: HashMap::new(),
            started: Instant::now(),
            idle_leader,
        }
    }

    pub fn now(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    /// Takes a look at one cluster and remembers what it shows. `Err` is why it cannot be read.
    pub fn look(&mut self, key: &Key) -> Result<Arc<ObservedCluster>, String> {
        let seen = self
            .reader
            .observe(key)
            .map_err(|unreadable| unreadable.reason)?;
        let now = self.now();
        self.sightings
            .entry(key.clone())
            .or_default()
            .look(&seen, now);
        Ok(Arc::new(seen))
    }

    /// Forgets what was seen of a cluster that nobody waits for.
    pub fn forget(&mut self, key: &Key) {
        self.sightings.remove(key);
    }

    /// Looks, and plans. `None` where Git says nothing of the cluster.
    pub fn plan(
        &mut self,
        desired: &Desired,
        key: &Key,
        unapplied: &Unapplied,
    ) -> Option<ClusterPlan> {
        let wanted = match (desired.refused.get(key), desired.clusters.get(key)) {
            (Some(findings), _) => Wanted::Refused(findings),
            (None, Some(cluster)) => Wanted::Declared(cluster),
            (None, None) => return None,
        };
        let held = match wanted {
            Wanted::Declared(cluster) => held_by(&cluster.document, unapplied),
            Wanted::Refused(_) => Vec::new(),
        };
        let seen = self.look(key);
        let now = self.now();
        let blank = Sighting::default();
        let plan = plan(&Inputs {
            key,
            wanted,
            seen: seen.as_ref().map_err(Clone::clone),
            sighting: self.sightings.get(key).unwrap_or(&blank),
            now,
            unix: jiff::Timestamp::now().as_second(),
            idle_leader: self.idle_leader,
            unapplied: &held,
        });
        if let (Wanted::Declared(cluster), Some(sighting)) = (wanted, self.sightings.get_mut(key)) {
            sighting.waits(awaited(&plan, &cluster.digest), now);
        }
        Some(plan)
    }

    pub fn plan_supporting(&self, supporting: &Supporting) -> SupportingPlan {
        let live = self.reader.supporting(&supporting.kind, &supporting.key);
        match &live {
            Ok(live) => plan_supporting(supporting, Ok(live.as_ref())),
            Err(unreadable) => plan_supporting(supporting, Err(unreadable.reason.clone())),
        }
    }
}
