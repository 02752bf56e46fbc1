//! Which Pods the operator and the StatefulSet's controller would make or take away next: `domain` §2.4.
//!
//! Pure: it looks at the Pods there are and says the next acts. In order, one at a time, each only when the ones before it
//! are ready; all at once with `Parallel`. The leader's Pod is never taken away.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodSeen {
    pub index: u32,
    pub is_ready: bool,
    pub is_leader: bool,
    pub is_terminating: bool,
    /// Its label `stackgres.io/disruptible` is `false`.
    pub is_kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Create(u32),
    Delete(u32),
    /// Label the Pod so that a scale-down leaves it.
    Keep(u32),
    /// Give the Pod back to the StatefulSet.
    Release(u32),
}

/// What `spec.replicas` of the StatefulSet becomes: one less while the leader's Pod lies beyond the instances wanted.
pub fn replicas(instances: u32, pods: &[PodSeen]) -> u32 {
    match kept(instances, pods) {
        Some(_) => instances - 1,
        None => instances,
    }
}

fn kept(instances: u32, pods: &[PodSeen]) -> Option<u32> {
    pods.iter()
        .find(|pod| pod.is_leader && !pod.is_terminating && instances > 0 && pod.index >= instances)
        .map(|pod| pod.index)
}

/// `pods` in any order.
pub fn next(instances: u32, is_parallel: bool, pods: &[PodSeen]) -> Vec<Act> {
    let kept = kept(instances, pods);
    let replicas = replicas(instances, pods);
    let mut labels = Vec::new();
    for pod in pods {
        if Some(pod.index) == kept && !pod.is_kept {
            labels.push(Act::Keep(pod.index));
        } else if Some(pod.index) != kept && pod.is_kept && !pod.is_terminating {
            labels.push(Act::Release(pod.index));
        }
    }
    if !labels.is_empty() {
        return labels;
    }
    let missing = (0..replicas).filter(|index| !pods.iter().any(|pod| pod.index == *index));
    let mut condemned: Vec<&PodSeen> = pods
        .iter()
        .filter(|pod| pod.index >= replicas && !pod.is_kept && !pod.is_terminating)
        .collect();
    condemned.sort_by_key(|pod| std::cmp::Reverse(pod.index));
    if is_parallel {
        return missing
            .map(Act::Create)
            .chain(condemned.iter().map(|pod| Act::Delete(pod.index)))
            .collect();
    }
    if pods.iter().any(|pod| pod.is_terminating) {
        return Vec::new();
    }
    let is_ready_below = |index: u32| {
        pods.iter()
            .filter(|pod| pod.index < index && !pod.is_kept)
            .all(|pod| pod.is_ready)
    };
    if let Some(index) = missing.min() {
        return if is_ready_below(index) {
            vec![Act::Create(index)]
        } else {
            Vec::new()
        };
    }
    match condemned.first() {
        Some(pod) if is_ready_below(pod.index) => vec![Act::Delete(pod.index)],
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter a Pod from index 0: `r` ready, `n` not ready, `l` leader, `k` kept leader, `t` terminating,
    /// `x` kept and no leader, `-` none.
    fn acts(instances: u32, is_parallel: bool, pods: &str) -> String {
        let seen: Vec<PodSeen> = pods
            .chars()
            .zip(0..)
            .filter(|(letter, _)| *letter != '-')
            .map(|(letter, index)| PodSeen {
                index,
                is_ready: letter != 'n',
                is_leader: matches!(letter, 'l' | 'k'),
                is_terminating: letter == 't',
                is_kept: matches!(letter, 'k' | 'x'),
            })
            .collect();
        let texts: Vec<String> = next(instances, is_parallel, &seen)
            .into_iter()
            .map(|act| format!("{act:?}"))
            .collect();
        format!("{} {}", replicas(instances, &seen), texts.join(" "))
    }

    #[test]
    fn pods_come_one_by_one_each_when_the_one_before_is_ready() {
        assert_eq!(acts(3, false, ""), "3 Create(0)");
        assert_eq!(acts(3, false, "n"), "3 ");
        assert_eq!(acts(3, false, "l"), "3 Create(1)");
        assert_eq!(acts(3, false, "ln"), "3 ");
        assert_eq!(acts(3, false, "lr"), "3 Create(2)");
        assert_eq!(acts(3, false, "lrr"), "3 ");
        assert_eq!(acts(3, false, "l-r"), "3 Create(1)");
    }

    #[test]
    fn pods_go_one_by_one_from_the_highest() {
        assert_eq!(acts(1, false, "lrr"), "1 Delete(2)");
        assert_eq!(acts(1, false, "lrt"), "1 ");
        assert_eq!(acts(1, false, "lr"), "1 Delete(1)");
        assert_eq!(acts(1, false, "lnr"), "1 ", "the one below is not ready");
        assert_eq!(acts(1, false, "lrn"), "1 Delete(2)");
        assert_eq!(acts(0, false, "l"), "0 Delete(0)");
    }

    #[test]
    fn a_parallel_cluster_comes_and_goes_at_once() {
        assert_eq!(acts(3, true, ""), "3 Create(0) Create(1) Create(2)");
        assert_eq!(acts(1, true, "lrr"), "1 Delete(2) Delete(1)");
    }

    #[test]
    fn the_leaders_pod_is_kept_and_one_more_goes_instead() {
        assert_eq!(acts(2, false, "rrl"), "1 Keep(2)");
        assert_eq!(acts(2, false, "rrk"), "1 Delete(1)");
        assert_eq!(acts(2, false, "r-k"), "1 ");
    }

    #[test]
    fn a_kept_pod_goes_when_it_leads_no_more() {
        assert_eq!(acts(2, false, "l-x"), "2 Release(2)");
        assert_eq!(acts(2, false, "l-r"), "2 Create(1)");
        assert_eq!(acts(2, false, "lrr"), "2 Delete(2)");
        assert_eq!(acts(3, false, "r-k"), "3 Release(2)");
    }
}
