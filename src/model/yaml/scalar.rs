//! What an unquoted scalar means, to Lockstep (YAML 1.2, as serde_yaml reads it) and to kubectl (mostly YAML 1.1).
//!
//! A text that the two read differently is refused, since the same commit would then mean two things. Facts of the
//! YAML 1.1 side: resolution in `sigs.k8s.io/yaml`, which kubectl uses.

use std::fmt;

/// The value of a scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plain {
    Null,
    Bool(bool),
    /// A whole number that JSON of Kubernetes can carry (64 bits, signed or not).
    Int(i128),
    Float(f64),
    /// `.inf`, `.nan` and whole numbers over 64 bits: no JSON number.
    NoJson,
    Text,
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "the boolean {value}"),
            Self::Int(value) => write!(f, "the number {value}"),
            Self::Float(value) => write!(f, "the number {value}"),
            Self::NoJson => f.write_str("a number that JSON does not have"),
            Self::Text => f.write_str("text"),
        }
    }
}

/// As Lockstep reads it.
pub fn ours(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    if !starts_like_a_number(text) {
        return Plain::Text;
    }
    let (negative, digits) = signed(text);
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix)));
    let leading_zero =
        digits.len() > 1 && digits.starts_with('0') && all_digits(digits) && prefixed.is_none();
    if leading_zero {
        return Plain::Text;
    }
    let (digits, radix) = prefixed.unwrap_or((digits, 10));
    if let Some(number) = whole(negative, digits, radix) {
        return number;
    }
    float(text)
}

/// As kubectl reads it.
pub fn kubectl(text: &str) -> Plain {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Plain::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Plain::Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    if !starts_like_a_number(text) {
        return Plain::Text;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = signed(&plain);
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (rest, radix) = match lower.as_deref() {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    match whole(negative, rest, radix) {
        // Decimal digits beyond 64 bits are taken for a floating-point number.
        Some(Plain::NoJson) if radix == 10 => float(&plain),
        Some(number) => number,
        None => float(&plain),
    }
}

/// Numbers of base 60 in YAML 1.1 (`1:30` is 90), which kubectl leaves as text and other readers do not.
pub fn is_base_60(text: &str) -> bool {
    let (_, digits) = signed(text);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    let mut more = false;
    for part in parts {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
        let in_base =
            whole.len() <= 2 && all_digits(whole) && whole.parse::<u8>().is_ok_and(|n| n < 60);
        if !in_base || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        more = true;
    }
    more && all_digits(first)
}

fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `None` where the text is not a whole number of this radix.
fn whole(negative: bool, digits: &str, radix: u32) -> Option<Plain> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let Ok(size) = i128::from_str_radix(digits, radix) else {
        return Some(Plain::NoJson);
    };
    let number = if negative { -size } else { size };
    let fits = number >= i128::from(i64::MIN) && number <= i128::from(u64::MAX);
    Some(if fits {
        Plain::Int(number)
    } else {
        Plain::NoJson
    })
}

/// A decimal fraction; `Text` where it is none.
fn float(text: &str) -> Plain {
    let (_, unsigned) = signed(text);
    let special =
        matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    if special {
        return Plain::NoJson;
    }
    let shaped = unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(number) if shaped && number.is_finite() => Plain::Float(number),
        _ => Plain::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value that serde_yaml makes of the text, in this module's words.
    fn by_serde(text: &str) -> Plain {
        match serde_yaml::from_str::<serde_yaml::Value>(text).unwrap() {
            serde_yaml::Value::Null => Plain::Null,
            serde_yaml::Value::Bool(value) => Plain::Bool(value),
            serde_yaml::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Plain::Int(value.into()),
                (None, Some(value)) => Plain::Int(value.into()),
                (None, None) => match number.as_f64() {
                    Some(value) if value.is_finite() => Plain::Float(value),
                    _ => Plain::NoJson,
                },
            },
            _ => Plain::Text,
        }
    }

    #[test]
    fn our_reading_is_that_of_serde_yaml() {
        for text in [
            "~",
            "null",
            "true",
            "TRUE",
            "tRue",
            "yes",
            "4",
            "-4",
            "+4",
            "04",
            "00",
            "0",
            "-0",
            "0x1F",
            "0X1F",
            "-0x1F",
            "+0x1f",
            "0o17",
            "0b11",
            "0b12",
            "1_000",
            "1.5",
            "1.",
            ".5",
            "-.5",
            "1e5",
            "1e+5",
            "1E-5",
            ".inf",
            "-.inf",
            ".nan",
            "08.5",
            "1:30",
            "2024-01-01",
            "18446744073709551615",
            "-9223372036854775808",
            "1.2.3",
            "e5",
            ".e5",
            "0x",
            "+",
            "-5-",
            "1e400",
            "16.10",
            "10Gi",
            "++4",
            "+-4",
            "0x-1",
            "infinity",
            "nan",
            "+.5",
            "00.5",
        ] {
            assert_eq!(ours(text), by_serde(text), "{text}");
        }
    }

    #[test]
    fn kubectl_reads_yaml_1_1() {
        assert_eq!(kubectl("yes"), Plain::Bool(true));
        assert_eq!(kubectl("off"), Plain::Bool(false));
        assert_eq!(kubectl("0777"), Plain::Int(511));
        assert_eq!(kubectl("-0777"), Plain::Int(-511));
        assert_eq!(kubectl("08"), Plain::Float(8.0));
        assert_eq!(kubectl("1_000"), Plain::Int(1000));
        assert_eq!(kubectl("0X1F"), Plain::Int(31));
        assert_eq!(kubectl("1:30"), Plain::Text);
        assert_eq!(kubectl("2024-01-01"), Plain::Text);
    }

    #[test]
    fn ordinary_values_are_read_alike() {
        for text in [
            "16.1",
            "4",
            "-1",
            "0",
            "10Gi",
            "500m",
            "sync-all",
            "true",
            "null",
            "0x1F",
            "0b11",
            "*/5 * * * *",
            "1e3",
            "size-s",
            "no-way",
            "5432:5432",
        ] {
            assert_eq!(ours(text), kubectl(text), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_a_number_of_base_60() {
        assert!(is_base_60("1:30"));
        assert!(is_base_60("22:30:15.5"));
        assert!(!is_base_60("5432:5432"));
        assert!(!is_base_60("a:30"));
        assert!(!is_base_60("130"));
    }
}
