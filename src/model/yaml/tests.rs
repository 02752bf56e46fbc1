//! What each kind of bad text gets: a place, words, and no more lost than must be.

use std::fmt::Write;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// Every problem, one a line, then what could be read.
fn told(bytes: &[u8]) -> String {
    let file = read(bytes, &Limits::default());
    let mut out = String::new();
    let documents = file.documents.iter().flat_map(|text| &text.problems);
    for problem in file.problems.iter().chain(documents) {
        let (line, column) = problem.mark.pair();
        let (level, id) = (problem.level.word(), problem.id);
        writeln!(out, "{line}:{column} {level}[{id}] {}", problem.message).unwrap();
    }
    for text in &file.documents {
        let whole = if text.unread.is_none() {
            "whole"
        } else {
            "cut"
        };
        let value = text.value.as_ref().map_or("-".into(), Value::to_string);
        writeln!(out, "{whole} {value}").unwrap();
    }
    if !file.is_whole {
        out.push_str("file cut\n");
    }
    out
}

#[test]
fn a_tab_is_named_where_it_stands() {
    assert_snapshot!(told(b"a: 1\n\tb: 2\n"), @"
    2:1 error[yaml-tab] a tab stands in the indentation, where YAML allows only spaces
    cut -
    ");
    assert_snapshot!(told(b"a:\n\t- b: 2\n"), @"
    2:1 error[yaml-tab] a tab stands in the indentation, where YAML allows only spaces
    cut -
    ");
    assert_snapshot!(told(b"{\n\t\"a\":\t1\n}\n"), @r#"whole {"a":1}"#);
}

#[test]
fn a_broken_document_costs_only_itself() {
    assert_snapshot!(told(b"a: 1\n---\nb: 'x\n---\nc: 3\n"), @r#"
    3:4 error[yaml-syntax] the quotes that open here are not closed
    whole {"a":1}
    cut -
    whole {"c":3}
    "#);
    assert_snapshot!(told(b"a: 1\n---\nb: \xFF\n---\nc: 3\n"), @r#"
    3:4 error[not-utf8] the byte 0xFF is not UTF-8
    whole {"a":1}
    cut -
    whole {"c":3}
    "#);
    assert_snapshot!(told(b"a: 1\n---\nb: [\n---\nc: 3\n"), @r#"
    3:4 error[yaml-syntax] the `[` is not closed
    whole {"a":1}
    cut -
    whole {"c":3}
    "#);
    assert_snapshot!(told(b"a: 1\nb: 2\r\n---\r\nc: \0\r\n---\r\nd: 4"), @r#"
    4:4 error[control-character] the character U+0000 is not allowed in YAML
    whole {"a":1,"b":2}
    cut -
    whole {"d":4}
    "#);
}

#[test]
fn broken_syntax_is_told_in_words() {
    assert_snapshot!(told(b"a: 1\nb: [1, 2\nc: 3\n"), @"
    3:2 error[yaml-syntax] a `:` cannot stand here; a value that contains one needs quotes
    cut -
    ");
    assert_snapshot!(told(b"a: b: c\n"), @"
    1:5 error[yaml-syntax] a `:` cannot stand here; a value that contains one needs quotes
    cut -
    ");
    assert_snapshot!(told(b"a:\n  b: 1\n c: 2\n"), @"
    3:2 error[yaml-syntax] a key of the mapping above is expected here; see the indentation
    cut -
    ");
    assert_snapshot!(told(b"a: @x\n"), @"
    1:4 error[yaml-syntax] a value cannot begin with `@` without quotes
    cut -
    ");
    assert_snapshot!(told(b"{{ if x }}\na: 1\n"), @"
    1:2 error[yaml-key] a key that is not plain text cannot be a field name
    cut -
    ");
    assert_snapshot!(told(b"%YAML 1.2\n---\na: 1\n"), @r#"
    1:1 error[yaml-syntax] a directive such as `%YAML` is not read; leave it out
    cut -
    whole {"a":1}
    "#);
}

#[test]
fn what_kubectl_reads_differently_is_refused_with_its_place() {
    let text = b"a: yes\nb: 0777\nc: 1_000\nd: 1:30\ny: 1\n5: 2\n<<: {a: 1}\nf: 08\ng: 'yes'\n";
    assert_snapshot!(told(text), @r#"
    1:4 error[yaml-ambiguous] kubectl reads `yes` as the boolean true, other readers as text
    2:4 error[yaml-ambiguous] kubectl reads `0777` as the number 511, other readers as text
    3:4 error[yaml-ambiguous] kubectl reads `1_000` as the number 1000, other readers as text
    4:4 warning[yaml-base-60] `1:30` is text here and for kubectl, and a number of base 60 for other YAML 1.1 readers
    5:1 error[yaml-key] the key `y` is read as the boolean true, not as text
    6:1 error[yaml-key] the key `5` is read as the number 5, not as text
    7:1 error[yaml-merge-key] the merge key `<<` is applied by kubectl and left as it is by others
    8:4 error[yaml-ambiguous] kubectl reads `08` as the number 8, other readers as text
    whole {"a":"yes","b":"0777","c":"1_000","d":"1:30","y":1,"5":2,"<<":{"a":1},"f":"08","g":"yes"}
    "#);
    assert_snapshot!(told(b"--- {a: 1}\n---\nb: 1\n"), @r#"
    1:5 error[yaml-marker-content] what stands on the line `---` is left out by kubectl
    whole {"a":1}
    whole {"b":1}
    "#);
    assert_snapshot!(told(b"a: 1\n...\nb: 1\n"), @"
    3:1 error[yaml-several-documents] another document begins without a line `---`, which kubectl would leave out
    cut -
    ");
    assert_snapshot!(told(b"a: !foo 1\nb: !!str 2\n"), @"
    1:4 error[yaml-tag] a YAML tag is not read by all readers alike
    2:4 error[yaml-tag] a YAML tag is not read by all readers alike
    whole -
    ");
    assert_snapshot!(told(b"a: .inf\nb: 99999999999999999999999\n"), @"
    1:4 error[yaml-number] `.inf` is a number that JSON, and so Kubernetes, cannot carry
    2:4 error[yaml-number] `99999999999999999999999` is a number that JSON, and so Kubernetes, cannot carry
    whole -
    ");
}

#[test]
fn a_duplicate_key_is_told_with_both_places() {
    assert_snapshot!(told("ä: 1\nb: {c: 1, 'ö': 2, c: 3}\nä: 2\n".as_bytes()), @r#"
    2:19 error[yaml-duplicate-key] the key `c` stands here a second time; the first is at line 2, column 5
    3:1 error[yaml-duplicate-key] the key `ä` stands here a second time; the first is at line 1, column 1
    whole {"ä":2,"b":{"c":3,"ö":2}}
    "#);
}

#[test]
fn empty_documents_are_left_out() {
    assert_snapshot!(told(b"# only\n---\n---\n~\n---\na: 1\n---"), @r#"whole {"a":1}"#);
    assert_snapshot!(told(b""), @r"");
}

#[test]
fn other_encodings_are_named() {
    assert_snapshot!(told(b"\xEF\xBB\xBFa: 1\n"), @r#"
    1:1 warning[byte-order-mark] the file begins with a byte order mark, which is left out
    whole {"a":1}
    "#);
    assert_snapshot!(told(b"\xFF\xFEa\0:\0"), @"
    1:1 error[not-utf8] the file is UTF-16
    file cut
    ");
    assert_snapshot!(told("a: 1\nb: \u{FEFF}\n".as_bytes()), @"
    2:4 error[control-character] the character U+FEFF is not allowed in YAML
    cut -
    ");
    assert_snapshot!(told(b"a: 1\rb: 2\r"), @"
    1:5 error[control-character] a carriage return stands inside a line; readers differ on whether a new line begins
    cut -
    ");
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let file = vec![b'a'; 5 << 20];
    assert_snapshot!(told(&file), @"
    1:1 error[file-too-large] the file has 5242880 bytes; the limit is 1048576, and it is not read
    file cut
    ");
}

#[test]
fn nesting_stops_at_the_limit_however_it_is_written() {
    assert_snapshot!(told("[".repeat(40 << 10).as_bytes()), @"
    1:65 error[yaml-too-deep] lists and mappings are nested more than 64 deep, which is the limit
    cut -
    ");
    assert_snapshot!(told("{a: ".repeat(40 << 10).as_bytes()), @"
    1:257 error[yaml-too-deep] lists and mappings are nested more than 64 deep, which is the limit
    cut -
    ");
    assert_snapshot!(told("- ".repeat(40 << 10).as_bytes()), @"
    1:129 error[yaml-too-deep] lists and mappings are nested more than 64 deep, which is the limit
    cut -
    ");
    let stairs: String = (0..1000).fold(String::new(), |mut out, depth| {
        writeln!(out, "{}a:", " ".repeat(depth)).unwrap();
        out
    });
    assert_snapshot!(told(stairs.as_bytes()), @"
    65:65 error[yaml-too-deep] lists and mappings are nested more than 64 deep, which is the limit
    cut -
    ");
    assert_snapshot!(told("? ".repeat(40 << 10).as_bytes()), @"
    1:3 error[yaml-key] a key that is not plain text cannot be a field name
    cut -
    ");
}

#[test]
fn reading_stops_after_a_hundred_problems() {
    let text = format!("a:\n{}", "- yes\n".repeat(1000));
    let file = read(text.as_bytes(), &Limits::default());
    let [document] = file.documents.as_slice() else {
        panic!("one document")
    };
    assert_eq!(document.problems.len(), 101);
    let last = document.problems.last().unwrap();
    assert_eq!((last.id, last.mark.line), ("yaml-too-many-problems", 102));
    assert!(document.unread.is_some() && document.value.is_none());
}

#[test]
fn aliases_are_counted_by_what_they_stand_for() {
    let laughs = (1..10).fold("a0: &a0 [x, x]\n".to_owned(), |mut out, n| {
        let before = format!("*a{}, ", n - 1).repeat(10);
        writeln!(out, "a{n}: &a{n} [{before}]").unwrap();
        out
    });
    assert_snapshot!(told(laughs.as_bytes()), @"
    5:20 error[yaml-too-many-aliases] the aliases up to here stand for more than 10000 values, which is the limit
    cut -
    ");
    assert_snapshot!(told(b"a: &x [*x]\n"), @"
    1:8 error[yaml-alias] this alias stands inside what it names
    cut -
    ");
    assert_snapshot!(told(b"a: &x {b: 1}\nc: *x\n"), @r#"whole {"a":{"b":1},"c":{"b":1}}"#);
    assert_snapshot!(told(b"&k a: 1\nb: *k\n"), @"
    2:4 error[yaml-alias] this alias names a key, not a value
    cut -
    ");
    assert_snapshot!(told(b"a: *nobody\n"), @"
    1:4 error[yaml-syntax] the alias names an anchor that is not there
    cut -
    ");
}

#[test]
fn a_place_counts_characters_and_knows_key_and_value() {
    let text = "# c\n---\nspec:\n  ö: {ü: [1, x: 2]}\n  t: |\n    text\n";
    let file = read(text.as_bytes(), &Limits::default());
    let tree = &file.documents[0].tree;
    let positions = tree.positions(tree.root().unwrap());
    let path = FieldPath::of(["spec", "ö", "ü"]);
    assert_eq!(
        (positions.nearest(&path), positions.value(&path)),
        ((4, 7), (4, 10))
    );
    let item = path.index(1).key("x");
    assert_eq!(
        (positions.nearest(&item), positions.value(&item)),
        ((4, 14), (4, 17))
    );
    assert_eq!(positions.nearest(&FieldPath::of(["spec", "t"])), (5, 3));
    assert_eq!(positions.nearest(&FieldPath::root()), (3, 1));
}

/// Every path of the value, with what leads there.
fn paths(value: &Value, path: FieldPath, out: &mut Vec<FieldPath>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                paths(item, path.index(index), out);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                paths(field, path.key(key), out);
            }
        }
        _ => {}
    }
    out.push(path);
}

/// Nothing panics, every place lies in the text, and where both readers agree each field of the value has its place.
fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let file = read(bytes, &Limits::default());
    let lines = bytes.split(|&byte| byte == b'\n').count();
    let problems = file.documents.iter().flat_map(|text| &text.problems);
    for problem in file.problems.iter().chain(problems) {
        let (line, column) = problem.mark.pair();
        prop_assert!(line >= 1 && line <= lines && column >= 1, "{problem:?}");
    }
    for text in &file.documents {
        let (Some(root), Some(value)) = (text.tree.root(), &text.value) else {
            continue;
        };
        if text.tree.agrees(root, value).is_err() {
            continue;
        }
        let positions = text.tree.positions(root);
        let mut all = Vec::new();
        paths(value, FieldPath::root(), &mut all);
        for path in &all {
            prop_assert!(positions.is_written(path), "{path} of {value}");
        }
        prop_assert_eq!(positions.len() + 1, all.len());
    }
    Ok(())
}

/// Pieces that YAML gives a meaning, so that random rows of them often parse.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b: ",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        "\"",
        "&x ",
        "*x",
        "!t ",
        "!!str ",
        "|\n  ",
        ">-\n ",
        "#",
        " # c",
        "---\n",
        "\n---\n",
        "...\n",
        "~",
        "yes",
        "0777",
        "1.5",
        "? ",
        "<<: ",
        "\t",
        "\r\n",
        "\r",
        "ä",
        "\u{85}",
        "\u{2028}",
        "\u{FEFF}",
        "\0",
        "%YAML 1.2\n",
        "\\n",
        "\\x41",
        "key: value\n",
        "list:\n- 1\n- 2\n",
        "{a: 1, b: [2]}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Values with their text as serde_yaml writes it, which is not always what kubectl would read.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has it", |n| n.is_finite())
            .prop_map(Value::from),
        "[ -~äöü\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z./~ -]{0,8}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
    }

    #[test]
    fn random_yaml_never_panics_and_every_field_has_a_place(text in pieces()) {
        holds(text.as_bytes())?;
    }

    #[test]
    fn a_written_value_reads_back_or_is_refused(value in values()) {
        let text = serde_yaml::to_string(&value).unwrap();
        holds(text.as_bytes())?;
        let file = read(text.as_bytes(), &Limits::default());
        match file.documents.as_slice() {
            [] => prop_assert_eq!(&value, &Value::Null),
            [read] if read.problems.is_empty() => {
                prop_assert!(read.tree.agrees(read.tree.root().unwrap(), read.value.as_ref().unwrap()).is_ok());
            }
            [read] => prop_assert!(read.problems.iter().all(|p| p.level != Level::Error || p.id.starts_with("yaml-") || p.id == "control-character"), "{:?}", read.problems),
            more => prop_assert!(false, "{} documents", more.len()),
        }
    }
}
