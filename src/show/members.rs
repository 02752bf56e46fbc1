//! The table that `patronictl list` would print for a cluster, from Kubernetes objects alone, character for character.
//!
//! Patroni's own rules decide every cell (domain §3.3), also where they could be argued with: the table never checks
//! whether a lock has expired and shows the last words of a dead member. What is in force is said elsewhere
//! (`show::durability`). The layout follows the version of Patroni that the cluster runs.

use std::fmt::Write as _;

use serde_json::Value;

use super::escape::for_terminal;
use super::grid::{Column, grid};
use super::yaml_text;
use crate::model::observed::{Member, ObservedCluster};
use crate::model::patroni::{FailoverRequest, Lsn, MemberStatus};

/// The table, and below it what Patroni adds: maintenance mode and a scheduled switchover. Ends with a line break.
pub fn table(cluster: &ObservedCluster) -> String {
    let layout = Layout::of(cluster);
    let mut text = grid(&title(cluster, layout), &columns(cluster, layout));
    text.push_str(&after_the_table(cluster));
    text
}

/// The rows as objects, with the table's titles as keys (`member`, `lagInMb`, …) and nothing where a cell is empty.
pub fn json(cluster: &ObservedCluster) -> Value {
    let columns = columns(cluster, Layout::of(cluster));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    (0..rows)
        .map(|row| {
            let mut object = serde_json::Map::new();
            let mut previous = "";
            for column in &columns {
                let key = match (column.title, previous) {
                    ("Lag", "Receive LSN") => "receiveLag".into(),
                    ("Lag", _) => "replayLag".into(),
                    (title, _) => camel(title),
                };
                previous = column.title;
                let cell = &column.cells[row];
                if cell.is_empty() {
                    continue;
                }
                let number = cell.parse::<u64>().ok().filter(|_| column.is_right);
                object.insert(
                    key,
                    number.map_or_else(|| cell.as_str().into(), Value::from),
                );
            }
            Value::Object(object)
        })
        .collect()
}

/// `lagInMb` of `Lag in MB`.
fn camel(title: &str) -> String {
    let mut key = String::new();
    for (index, word) in title.split(' ').enumerate() {
        let word = word.to_lowercase();
        let mut characters = word.chars();
        match characters.next() {
            Some(first) if index > 0 => {
                key.extend(first.to_uppercase());
                key.push_str(characters.as_str());
            }
            _ => key.push_str(&word),
        }
    }
    key
}

fn columns(cluster: &ObservedCluster, layout: Layout) -> Vec<Column> {
    let mut members: Vec<&Member> = cluster.seen_members().iter().collect();
    // As strings, so that `-10` comes before `-2`.
    members.sort_by(|one, other| one.name.cmp(&other.name));
    let rows: Vec<Row<'_>> = members
        .into_iter()
        .map(|member| Row::of(cluster, layout, member))
        .collect();

    let mut columns = vec![
        Column::left("Member", rows.iter().map(|row| row.name.clone()).collect()),
        Column::left("Host", hosts(&rows)),
        Column::left("Role", rows.iter().map(|row| row.role.into()).collect()),
        Column::left("State", rows.iter().map(|row| row.state.clone()).collect()),
        Column::right("TL", rows.iter().map(Row::timeline).collect()),
    ];
    columns.extend(lag_columns(cluster, layout, &rows));
    columns.extend(optional_columns(layout, &rows));
    columns
}

/// What differs between the versions of Patroni that StackGres ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// 3.0: the title names no system identifier.
    Untitled,
    /// Other versions before 3.3: `/sync` alone says who is synchronous.
    SyncAlone,
    /// 3.3 to 4.0: the configuration must ask for synchrony too; reasons of a pending restart.
    LagInMb,
    /// 4.1 and later: two positions with their lag.
    TwoPositions,
}

impl Layout {
    /// By the version the leader runs, else by the first member that names one; members can differ during a rollout.
    fn of(cluster: &ObservedCluster) -> Self {
        let leader = leader(cluster);
        let version = |member: &Member| {
            let annotated = member.patroni_version.as_deref().and_then(major_minor);
            annotated.or_else(|| member.said()?.version.as_deref().and_then(major_minor))
        };
        let of_leader = cluster
            .seen_members()
            .iter()
            .find(|member| Some(member.name.as_str()) == leader)
            .and_then(version);
        match of_leader.or_else(|| cluster.seen_members().iter().find_map(version)) {
            None => Self::LagInMb,
            Some((3, 0)) => Self::Untitled,
            Some(version) if version < (3, 3) => Self::SyncAlone,
            Some(version) if version < (4, 1) => Self::LagInMb,
            Some(_) => Self::TwoPositions,
        }
    }
}

/// `(3, 3)` of `3.3.2` and of `3.3.2-build-6.36`.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

struct Row<'c> {
    name: String,
    /// Host and port, where the member has said how to reach it.
    host: Option<(String, u16)>,
    role: &'static str,
    state: String,
    is_leader: bool,
    said: Option<&'c MemberStatus>,
}

impl<'c> Row<'c> {
    fn of(cluster: &ObservedCluster, layout: Layout, member: &'c Member) -> Self {
        let said = member.said();
        let is_leader = leader(cluster) == Some(member.name.as_str());
        let role = role(cluster, layout, member, is_leader);
        let state = said.map_or("", |status| match status.replication_state.as_deref() {
            Some(state) if role != "Leader" && !state.is_empty() && layout != Layout::Untitled => {
                state
            }
            _ => status.state.as_str(),
        });
        Self {
            name: for_terminal(&member.name).into_owned(),
            host: said
                .and_then(|status| status.conn_url.as_deref())
                .and_then(host_and_port),
            role,
            state: for_terminal(state).into_owned(),
            is_leader,
            said,
        }
    }

    fn timeline(&self) -> String {
        self.said
            .and_then(|status| status.timeline)
            .map(|timeline| timeline.to_string())
            .unwrap_or_default()
    }
}

fn leader(cluster: &ObservedCluster) -> Option<&str> {
    cluster.patroni.leader.value()?.leader.as_deref()
}

fn role(
    cluster: &ObservedCluster,
    layout: Layout,
    member: &Member,
    is_leader: bool,
) -> &'static str {
    let patroni = &cluster.patroni;
    let config = patroni.config.value();
    let follows_another = config.is_some_and(|config| config.standby_cluster);
    if is_leader {
        return if follows_another {
            "Standby Leader"
        } else {
            "Leader"
        };
    }
    let Some(sync) = patroni.sync.value() else {
        return "unknown";
    };
    if patroni.leader.value().is_none() {
        return "unknown";
    }
    // A configuration that cannot be read does not hide what `/sync` says: it has a leader only while synchrony is in
    // force.
    let asked_for = match config {
        _ if layout < Layout::LagInMb => true,
        Some(config) => config.synchronous.on && !config.standby_cluster,
        None => true,
    };
    match sync.leader {
        Some(_) if asked_for && sync.lists(&member.name) && sync.quorum > 0 => "Quorum Standby",
        Some(_) if asked_for && sync.lists(&member.name) => "Sync Standby",
        _ => "Replica",
    }
}

/// Host and port of `postgres://user@10.244.0.8:7433/postgres`; the port is 5432 where none is written.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = port
        .and_then(|port| port.parse().ok())
        .filter(|port| *port != 0)
        .unwrap_or(5432);
    let host = for_terminal(&host.to_lowercase()).into_owned();
    (!host.is_empty()).then_some((host, port))
}

/// The port stands in every row with a host as soon as one is not 5432 or two members share a host.
fn hosts(rows: &[Row<'_>]) -> Vec<String> {
    let known: Vec<&(String, u16)> = rows.iter().filter_map(|row| row.host.as_ref()).collect();
    let mut distinct: Vec<&str> = known.iter().map(|(host, _)| host.as_str()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let with_port = known.iter().any(|(_, port)| *port != 5432) || distinct.len() < known.len();
    rows.iter()
        .map(|row| match &row.host {
            None => String::new(),
            Some((host, port)) if with_port => format!("{host}:{port}"),
            Some((host, _)) => host.clone(),
        })
        .collect()
}

fn lag_columns(cluster: &ObservedCluster, layout: Layout, rows: &[Row<'_>]) -> Vec<Column> {
    // Patroni counts a missing position of the leader as 0, which makes every lag 0; a record that cannot be read is not
    // missing.
    let written = cluster
        .patroni
        .leader
        .value()
        .map(|leader| leader.optime.unwrap_or(Lsn(0)));
    if layout < Layout::TwoPositions {
        let lags = rows.iter().map(|row| {
            if row.is_leader {
                return String::new();
            }
            let position = row.said.and_then(|status| status.xlog_location);
            match (written, position) {
                (Some(written), Some(position)) => megabytes(written, position),
                _ => "unknown".into(),
            }
        });
        return vec![Column::right("Lag in MB", lags.collect())];
    }
    let mut columns = vec![
        Column::right("Receive LSN", Vec::new()),
        Column::right("Lag", Vec::new()),
        Column::right("Replay LSN", Vec::new()),
        Column::right("Lag", Vec::new()),
    ];
    for row in rows {
        let [received, replayed] = positions(row);
        for (half, position) in [received, replayed].into_iter().enumerate() {
            let (shown, lag) = match position {
                _ if row.is_leader => (String::new(), String::new()),
                None => ("unknown".into(), String::new()),
                Some(position) => (
                    position.to_string(),
                    written.map_or_else(String::new, |written| megabytes(written, position)),
                ),
            };
            columns[2 * half].cells.push(shown);
            columns[2 * half + 1].cells.push(lag);
        }
    }
    columns
}

/// Received and replayed; a member of an older version names one position only, which then counts as one of the two.
fn positions(row: &Row<'_>) -> [Option<Lsn>; 2] {
    let known = |position: Option<Lsn>| position.filter(|position| position.0 > 0);
    let Some(said) = row.said else {
        return [None, None];
    };
    match (known(said.receive_lsn), known(said.replay_lsn)) {
        (None, None) if row.state == "streaming" => [known(said.xlog_location), None],
        (None, None) => [None, known(said.xlog_location)],
        (received, replayed) => [received, replayed],
    }
}

/// Distance in units of 1,048,576 bytes, rounded half to even as Python does; 0 where the standby is ahead.
fn megabytes(written: Lsn, position: Lsn) -> String {
    const UNIT: u64 = 1 << 20;
    let behind = written.0.saturating_sub(position.0);
    let (whole, rest) = (behind / UNIT, behind % UNIT);
    let up = rest > UNIT / 2 || (rest == UNIT / 2 && whole % 2 == 1);
    (whole + u64::from(up)).to_string()
}

/// Columns that are there only while a member that can be reached has something to show in them.
fn optional_columns(layout: Layout, rows: &[Row<'_>]) -> Vec<Column> {
    let said: Vec<Option<&MemberStatus>> = rows.iter().map(|row| row.said).collect();
    let reachable: Vec<&MemberStatus> = rows
        .iter()
        .filter(|row| row.host.is_some())
        .filter_map(|row| row.said)
        .collect();
    let column = |title, cell: fn(&MemberStatus) -> String| {
        let cells = said
            .iter()
            .map(|status| status.map_or_else(String::new, cell));
        Column::left(title, cells.collect())
    };
    let mut columns = Vec::new();
    if reachable.iter().any(|status| status.pending_restart) {
        columns.push(column("Pending restart", |status| {
            if status.pending_restart { "*" } else { "" }.into()
        }));
    }
    if layout >= Layout::LagInMb
        && reachable
            .iter()
            .any(|status| !status.pending_restart_reason.is_empty())
    {
        columns.push(column("Pending restart reason", restart_reasons));
    }
    if reachable
        .iter()
        .any(|status| status.scheduled_restart.is_some())
    {
        columns.push(column("Scheduled restart", scheduled_restart));
    }
    if reachable.iter().any(|status| !status.tags.is_empty()) {
        columns.push(column("Tags", tags));
    }
    columns
}

fn restart_reasons(status: &MemberStatus) -> String {
    let reasons = status
        .pending_restart_reason
        .iter()
        .map(|(name, old, new)| {
            let reason = format!("{name}: {old}->{new}");
            let reason = if reason.chars().count() > 50 {
                format!("{name}: [hidden - too long]")
            } else {
                reason
            };
            for_terminal(&reason).into_owned()
        });
    reasons.collect::<Vec<_>>().join("\n")
}

fn scheduled_restart(status: &MemberStatus) -> String {
    let text = match &status.scheduled_restart {
        None => String::new(),
        Some((at, None)) => at.clone(),
        Some((at, Some(version))) => format!("{at} if version < {version}"),
    };
    for_terminal(&text).into_owned()
}

fn tags(status: &MemberStatus) -> String {
    if status.tags.is_empty() {
        return String::new();
    }
    let tags: serde_json::Map<String, Value> = status
        .tags
        .iter()
        .map(|(tag, value)| (tag.clone(), value.clone()))
        .collect();
    yaml_text::text(&Value::Object(tags)).trim_end().to_owned()
}

fn title(cluster: &ObservedCluster, layout: Layout) -> String {
    let patroni = &cluster.patroni;
    let identifier = match patroni.initialize.as_deref() {
        None => "uninitialized",
        Some("") => "initializing",
        Some(identifier) => identifier,
    };
    let title = match citus_group(cluster) {
        Some((scope, group)) => format!(" Citus cluster: {scope} (group: {group}, {identifier}) "),
        None if layout == Layout::Untitled => format!(" Cluster: {} ", patroni.base),
        None => format!(" Cluster: {} ({identifier}) ", patroni.base),
    };
    for_terminal(&title).into_owned()
}

/// The scope and the group of a member of a Citus cluster, whose Endpoints are named by both.
fn citus_group(cluster: &ObservedCluster) -> Option<(&str, u64)> {
    let group = cluster
        .live
        .as_ref()?
        .value
        .pointer("/spec/configurations/patroni/initialConfig/citus/group")?
        .as_u64()?;
    let scope = cluster.patroni.base.strip_suffix(&format!("-{group}"))?;
    Some((scope, group))
}

fn after_the_table(cluster: &ObservedCluster) -> String {
    let mut text = String::new();
    if cluster
        .patroni
        .config
        .value()
        .is_some_and(|config| config.paused)
    {
        text.push_str(" Maintenance mode: on\n");
    }
    let Some(FailoverRequest {
        leader,
        member,
        scheduled_at: Some(at),
    }) = &cluster.patroni.failover
    else {
        return text;
    };
    if leader.is_none() && member.is_none() {
        return text;
    }
    let at = match at.strip_suffix('Z') {
        Some(at) => format!("{at}+00:00"),
        None => at.clone(),
    };
    let _ = writeln!(text, " Switchover scheduled at: {}", for_terminal(&at));
    for (label, name) in [("from", leader), ("to", member)] {
        if let Some(name) = name {
            let _ = writeln!(text, "{label:>24}: {}", for_terminal(name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::patroni::{LeaderRecord, PatroniConfig, Seen};
    use crate::show::sample::{annotations, cluster, leading, member, standby, sync_cluster};

    const MIB: u64 = 1 << 20;

    fn db(version: &str) -> ObservedCluster {
        let at = 100 * MIB;
        cluster(
            "db",
            "db-1,db-2",
            vec![
                leading("db-0", version, "10.244.0.8:5432", 3),
                standby("db-1", version, "10.244.0.9:5432", 3, at - MIB / 2),
                standby("db-2", version, "10.244.0.10:5432", 3, at - 3 * MIB / 2),
                standby("db-3", version, "10.244.0.11:5432", 3, at - 5 * MIB / 2),
                standby("db-4", version, "10.244.0.12:5432", 3, at + 5 * MIB),
            ],
        )
    }

    #[test]
    fn the_seed_ends_with_one_leader_and_three_sync_standbys() {
        let standbys = "sync-cluster-1,sync-cluster-2,sync-cluster-3";
        insta::assert_snapshot!(table(&sync_cluster("sync-all", standbys)), @r"
        + Cluster: sync-cluster (7373750354182599290) -----+-----------+----+-----------+
        | Member         | Host             | Role         | State     | TL | Lag in MB |
        +----------------+------------------+--------------+-----------+----+-----------+
        | sync-cluster-0 | 10.244.0.11:7433 | Leader       | running   |  2 |           |
        | sync-cluster-1 | 10.244.0.10:7433 | Sync Standby | streaming |  2 |         0 |
        | sync-cluster-2 | 10.244.0.4:7433  | Sync Standby | streaming |  2 |         0 |
        | sync-cluster-3 | 10.244.0.8:7433  | Sync Standby | streaming |  2 |         0 |
        +----------------+------------------+--------------+-----------+----+-----------+
        ");
    }

    #[test]
    fn lag_is_rounded_half_to_even_and_never_negative() {
        insta::assert_snapshot!(table(&db("3.3.1")), @r"
        + Cluster: db (7369946595341132525) --+-----------+----+-----------+
        | Member | Host        | Role         | State     | TL | Lag in MB |
        +--------+-------------+--------------+-----------+----+-----------+
        | db-0   | 10.244.0.8  | Leader       | running   |  3 |           |
        | db-1   | 10.244.0.9  | Sync Standby | streaming |  3 |         0 |
        | db-2   | 10.244.0.10 | Sync Standby | streaming |  3 |         2 |
        | db-3   | 10.244.0.11 | Replica      | streaming |  3 |         2 |
        | db-4   | 10.244.0.12 | Replica      | streaming |  3 |         0 |
        +--------+-------------+--------------+-----------+----+-----------+
        ");
    }

    #[test]
    fn patroni_4_1_shows_two_positions_and_a_build_suffix_changes_nothing() {
        let mut cluster = db("4.1.0-build-6.38");
        if let Seen::Value(members) = &mut cluster.members {
            members.truncate(3);
            members.swap(0, 2);
        }
        insta::assert_snapshot!(table(&cluster), @r"
        + Cluster: db (7369946595341132525) --+-----------+----+-------------+-----+------------+-----+
        | Member | Host        | Role         | State     | TL | Receive LSN | Lag | Replay LSN | Lag |
        +--------+-------------+--------------+-----------+----+-------------+-----+------------+-----+
        | db-0   | 10.244.0.8  | Leader       | running   |  3 |             |     |            |     |
        | db-1   | 10.244.0.9  | Sync Standby | streaming |  3 |   0/6380000 |   0 |  0/6380000 |   0 |
        | db-2   | 10.244.0.10 | Sync Standby | streaming |  3 |   0/6280000 |   2 |  0/6280000 |   2 |
        +--------+-------------+--------------+-----------+----+-------------+-----+------------+-----+
        ");
    }

    #[test]
    fn tags_over_several_lines_put_rules_between_all_rows() {
        let mut cluster = cluster(
            "sync-cluster",
            "sync-cluster-1",
            vec![
                leading("sync-cluster-0", "3.3.1", "10.244.0.8:5432", 1),
                standby("sync-cluster-1", "3.3.1", "10.244.0.9:5432", 1, 100 * MIB),
                member(
                    "sync-cluster-2",
                    "3.3.1",
                    r#"{"conn_url": "postgres://10.244.0.12:5432/postgres", "state": "running",
                        "timeline": 1, "xlog_location": 45088768,
                        "replication_state": "in archive recovery",
                        "tags": {"noloadbalance": true, "nofailover": true}}"#,
                ),
                member("sync-cluster-4", "3.3.1", ""),
            ],
        );
        cluster.patroni.config =
            PatroniConfig::read(r#"{"synchronous_mode": true, "pause": true}"#);
        cluster.patroni.failover = FailoverRequest::read(&annotations(&[
            ("scheduled_at", "2030-01-02T03:04:05+00:00"),
            ("leader", "db-0"),
            ("member", "db-1"),
        ]));
        insta::assert_snapshot!(table(&cluster), @r"
        + Cluster: sync-cluster (7369946595341132525) +---------------------+----+-----------+---------------------+
        | Member         | Host        | Role         | State               | TL | Lag in MB | Tags                |
        +----------------+-------------+--------------+---------------------+----+-----------+---------------------+
        | sync-cluster-0 | 10.244.0.8  | Leader       | running             |  1 |           |                     |
        +----------------+-------------+--------------+---------------------+----+-----------+---------------------+
        | sync-cluster-1 | 10.244.0.9  | Sync Standby | streaming           |  1 |         0 |                     |
        +----------------+-------------+--------------+---------------------+----+-----------+---------------------+
        | sync-cluster-2 | 10.244.0.12 | Replica      | in archive recovery |  1 |        57 | nofailover: true    |
        |                |             |              |                     |    |           | noloadbalance: true |
        +----------------+-------------+--------------+---------------------+----+-----------+---------------------+
        | sync-cluster-4 |             | Replica      |                     |    |   unknown |                     |
        +----------------+-------------+--------------+---------------------+----+-----------+---------------------+
         Maintenance mode: on
         Switchover scheduled at: 2030-01-02T03:04:05+00:00
                            from: db-0
                              to: db-1
        ");
    }

    #[test]
    fn a_standby_cluster_waiting_for_a_restart_on_another_port() {
        let mut cluster = cluster(
            "db",
            "",
            vec![
                standby("db-2", "3.3.3", "10.244.0.8:7433", 1, 0),
                member(
                    "db-10",
                    "3.3.3",
                    r#"{"conn_url": "postgres://10.244.0.9:5432/postgres", "state": "running",
                        "timeline": 1, "replication_state": "streaming", "xlog_location": 104857600,
                        "pending_restart": true, "pending_restart_reason": {
                            "max_connections": {"old_value": "100", "new_value": "200"},
                            "shared_preload_libraries": {"old_value": "pg_stat_statements",
                                "new_value": "pg_stat_statements,auto_explain"}},
                        "scheduled_restart": {"schedule": "2030-01-02T03:04:05+00:00",
                            "postgres_version": "16.2"}}"#,
                ),
            ],
        );
        cluster.patroni.leader =
            LeaderRecord::read(&annotations(&[("leader", "db-2"), ("optime", "104857600")]));
        cluster.patroni.config = PatroniConfig::read(r#"{"standby_cluster": {"host": "1.2.3.4"}}"#);
        cluster.patroni.initialize = Some(String::new());
        insta::assert_snapshot!(table(&cluster), @r"
        + Cluster: db (initializing) ---------------+-----------+----+-----------+-----------------+-----------------------------------------------+---------------------------------------------+
        | Member | Host            | Role           | State     | TL | Lag in MB | Pending restart | Pending restart reason                        | Scheduled restart                           |
        +--------+-----------------+----------------+-----------+----+-----------+-----------------+-----------------------------------------------+---------------------------------------------+
        | db-10  | 10.244.0.9:5432 | Replica        | streaming |  1 |         0 | *               | max_connections: 100->200                     | 2030-01-02T03:04:05+00:00 if version < 16.2 |
        |        |                 |                |           |    |           |                 | shared_preload_libraries: [hidden - too long] |                                             |
        +--------+-----------------+----------------+-----------+----+-----------+-----------------+-----------------------------------------------+---------------------------------------------+
        | db-2   | 10.244.0.8:7433 | Standby Leader | streaming |  1 |           |                 |                                               |                                             |
        +--------+-----------------+----------------+-----------+----+-----------+-----------------+-----------------------------------------------+---------------------------------------------+
        ");
    }

    #[test]
    fn patroni_3_0_names_no_system_identifier_and_no_replication_state() {
        let mut cluster = db("3.0.2");
        if let Seen::Value(members) = &mut cluster.members {
            members.truncate(2);
        }
        insta::assert_snapshot!(table(&cluster), @r"
        + Cluster: db --------+--------------+---------+----+-----------+
        | Member | Host       | Role         | State   | TL | Lag in MB |
        +--------+------------+--------------+---------+----+-----------+
        | db-0   | 10.244.0.8 | Leader       | running |  3 |           |
        | db-1   | 10.244.0.9 | Sync Standby | running |  3 |         0 |
        +--------+------------+--------------+---------+----+-----------+
        ");
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_no_replica() {
        let mut cluster = db("3.3.1");
        cluster.patroni.leader = Seen::Unknown("the Endpoints cannot be read".into());
        if let Seen::Value(members) = &mut cluster.members {
            members.truncate(1);
        }
        insta::assert_snapshot!(table(&cluster), @r"
        + Cluster: db (7369946595341132525) ------+----+-----------+
        | Member | Host       | Role    | State   | TL | Lag in MB |
        +--------+------------+---------+---------+----+-----------+
        | db-0   | 10.244.0.8 | unknown | running |  3 |   unknown |
        +--------+------------+---------+---------+----+-----------+
        ");
    }

    #[test]
    fn a_hostile_status_cannot_act_on_the_terminal() {
        let hostile = r#"{"conn_url": "postgres://\u001b[2J/x", "state": "run\nning\u202e"}"#;
        let text = table(&cluster("db", "", vec![member("db-1", "3.3.1", hostile)]));
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
