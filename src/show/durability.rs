//! Durability side by side: what Git declares, the object stores, Patroni is configured for, `/sync` lists and streams, and
//! whether the first is what really happens. The lines that `lockstep status` prints below the members.

use std::fmt::Write as _;

use super::escape::for_terminal;
use super::palette::{Palette, paint};
use crate::model::plan::{Durability, ForceVerdict, InForce};

/// Five readings and the verdict, one a line, aligned.
pub fn lines(in_force: &InForce, palette: &Palette) -> String {
    let mut text = String::new();
    for (label, value) in readings(in_force) {
        let _ = writeln!(text, "{label:<10}  {}", for_terminal(&value));
    }
    let style = match in_force.verdict {
        ForceVerdict::InForce => palette.good,
        ForceVerdict::NotInForce(_) => palette.waiting,
        ForceVerdict::Unknown(_) => palette.bad,
    };
    let verdict = verdict(&in_force.verdict);
    let _ = writeln!(
        text,
        "{:<10}  {}",
        "in force",
        paint(style, &for_terminal(&verdict))
    );
    text
}

/// Label and words of each reading, unescaped.
pub fn readings(in_force: &InForce) -> [(&'static str, String); 5] {
    let InForce {
        declared,
        stored,
        configured,
        listed,
        streaming,
        verdict: _,
    } = in_force;
    let asked = |durability: &Option<Durability>, absent: &str| match durability {
        Some(durability) => durability.to_string(),
        None => absent.to_owned(),
    };
    let names = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    [
        ("declared", asked(declared, "nothing that can be read")),
        ("stored", asked(stored, "nothing that can be read")),
        (
            "configured",
            match configured {
                Ok(durability) => durability.to_string(),
                Err(why) => format!("unknown: {why}"),
            },
        ),
        (
            "listed",
            match listed {
                Ok(standbys) => names(standbys),
                Err(why) => format!("unknown: {why}"),
            },
        ),
        ("streaming", names(streaming)),
    ]
}

/// `yes`, `no: …` or `unknown: …`.
pub fn verdict(verdict: &ForceVerdict) -> String {
    match verdict {
        ForceVerdict::InForce => "yes".into(),
        ForceVerdict::NotInForce(why) => format!("no: {why}"),
        ForceVerdict::Unknown(why) => format!("unknown: {why}"),
    }
}

/// The verdict in one word, for a table's cell.
pub fn word(verdict: &ForceVerdict) -> &'static str {
    match verdict {
        ForceVerdict::InForce => "yes",
        ForceVerdict::NotInForce(_) => "no",
        ForceVerdict::Unknown(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;

    #[test]
    fn five_readings_stand_side_by_side() {
        insta::assert_snapshot!(lines(&sample::in_sync_plan().in_force, &Palette::PLAIN), @r"
        declared    3 synchronous standbys
        stored      3 synchronous standbys
        configured  3 synchronous standbys
        listed      sync-cluster-1, sync-cluster-2, sync-cluster-3
        streaming   sync-cluster-1, sync-cluster-2, sync-cluster-3
        in force    yes
        ");
        insta::assert_snapshot!(lines(&sample::waiting_plan().in_force, &Palette::PLAIN), @r"
        declared    3 synchronous standbys
        stored      asynchronous
        configured  asynchronous
        listed      none
        streaming   sync-cluster-1, sync-cluster-2, sync-cluster-3
        in force    no: Patroni is configured for asynchronous, not for 3 synchronous standbys
        ");
    }

    #[test]
    fn what_is_not_known_says_why() {
        let mut in_force = sample::in_sync_plan().in_force;
        let why = "Patroni's configuration is not a JSON object";
        in_force.declared = None;
        in_force.configured = Err(why.into());
        in_force.listed = Err("forbidden\u{1b}[2J".into());
        in_force.streaming.clear();
        in_force.verdict = ForceVerdict::Unknown(why.into());
        insta::assert_snapshot!(lines(&in_force, &Palette::PLAIN), @r"
        declared    nothing that can be read
        stored      3 synchronous standbys
        configured  unknown: Patroni's configuration is not a JSON object
        listed      unknown: forbidden\u{1b}[2J
        streaming   none
        in force    unknown: Patroni's configuration is not a JSON object
        ");
    }
}
