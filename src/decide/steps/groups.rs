//! What the operator's webhook makes of replication groups: where an autoscaler has a least number of instances, it writes
//! the size of each group that has one itself (`domain.md` §1.3), whatever is sent.

use serde_json::Value;

use crate::model::cluster::{Autoscaling, Group, groups_of};

/// The groups as they are stored once this list is sent together with so many instances; `None` where it does not read.
pub fn as_stored(
    list: Option<&Value>,
    instances: u32,
    autoscaling: Option<&Autoscaling>,
) -> Option<Vec<Group>> {
    let mut groups = groups_of(list.unwrap_or(&Value::Null)).ok()?;
    let least = autoscaling
        .and_then(|section| section.min_instances)
        .filter(|least| *least > 0);
    let Some(least) = least else {
        return Some(groups);
    };
    let items = list.and_then(Value::as_array).into_iter().flatten();
    for (group, item) in groups.iter_mut().zip(items) {
        let of_group = item.get("minInstances").and_then(Value::as_u64);
        if let Some(of_group) = of_group {
            let size = of_group * u64::from(instances) / u64::from(least);
            group.instances = u32::try_from(size).unwrap_or(u32::MAX);
        }
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_with_a_least_size_follows_the_instances_whatever_is_written() {
        let list = json!([
            {"name": "a", "role": "readonly", "instances": 9, "minInstances": 1},
            {"name": "b", "role": "ha", "instances": 2},
        ]);
        let autoscaling = Autoscaling {
            horizontal: true,
            min_instances: Some(2),
            max_instances: Some(8),
        };
        let sizes = |instances, autoscaling| {
            let groups = as_stored(Some(&list), instances, autoscaling).unwrap();
            groups
                .iter()
                .map(|group| group.instances)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(4, Some(&autoscaling)), [2, 2]);
        assert_eq!(sizes(7, Some(&autoscaling)), [3, 2]);
        assert_eq!(sizes(4, None), [9, 2]);
    }
}
