//! The `tojson` filter of transformers: Python's json.dumps(value, ensure_ascii=False, ...), not HTML-safe JSON.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// JSON text nests at most 128 deep when it comes in; values that a template builds get a little more.
const MAX_DEPTH: usize = 200;

struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>, // the text of one level
    item_separator: String,
    key_separator: String,
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn quote(text: &str, style: &Style, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (style.ensure_ascii && (c as u32) > 0x7e) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Python's repr of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16 on.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        let text = format!("{value}");
        return if text.contains('.') { text } else { text + ".0" };
    }
    let text = format!("{value:e}"); // 1.5e-7, 1e16
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn number_text(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(float_text(f64::try_from(value.clone())?))
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.to_string()),
        ValueKind::Number => number_text(key),
        ValueKind::Bool => Ok(if key.is_true() { "true".into() } else { "false".into() }),
        ValueKind::None => Ok("null".into()),
        kind => Err(invalid(format!("tojson: keys must be strings, found {kind}"))),
    }
}

fn new_line(style: &Style, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn write(state: &State, value: &Value, style: &Style, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(invalid(format!("tojson: more than {MAX_DEPTH} levels")));
    }
    let before = out.len();
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number_text(value)?),
        ValueKind::String => quote(value.as_str().unwrap_or_default(), style, out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut count = 0;
            for item in value.try_iter()? {
                if count > 0 {
                    out.push_str(&style.item_separator);
                }
                new_line(style, depth + 1, out);
                write(state, &item, style, depth + 1, out)?;
                count += 1;
            }
            if count > 0 {
                new_line(style, depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            out.push('{');
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item_separator);
                }
                new_line(style, depth + 1, out);
                quote(&key_text(key)?, style, out);
                out.push_str(&style.key_separator);
                write(state, &value.get_item(key)?, style, depth + 1, out)?;
            }
            if !keys.is_empty() {
                new_line(style, depth, out);
            }
            out.push('}');
        }
        kind => return Err(invalid(format!("tojson: {kind} is not JSON serializable"))),
    }
    state.consume_fuel(1 + ((out.len() - before) / 64) as u64)
}

fn indent_text(indent: Option<Value>) -> Result<Option<String>, Error> {
    let Some(indent) = indent.filter(|v| !v.is_none() && !v.is_undefined()) else {
        return Ok(None);
    };
    if let Some(text) = indent.as_str() {
        return Ok(Some(text.to_string()));
    }
    let width = i64::try_from(indent)?.clamp(0, 64);
    Ok(Some(" ".repeat(width as usize)))
}

/// tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False): transformers' order of arguments.
pub fn tojson(state: &mut State, value: &Value, positional: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let take = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        match positional.get(index) {
            Some(v) => Ok(Some(v.clone())),
            None => named.get::<Option<Value>>(name),
        }
    };
    if positional.len() > 4 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let ensure_ascii = take(0, "ensure_ascii")?.is_some_and(|v| v.is_true());
    let indent = indent_text(take(1, "indent")?)?;
    let separators = take(2, "separators")?.filter(|v| !v.is_none());
    let sort_keys = take(3, "sort_keys")?.is_some_and(|v| v.is_true());
    named.assert_all_used()?;
    let (item_separator, key_separator) = match separators {
        Some(pair) => {
            let parts: Vec<Value> = pair.try_iter()?.collect();
            match parts.as_slice() {
                [item, key] => (item.to_string(), key.to_string()),
                _ => return Err(invalid("tojson: separators must be a pair".into())),
            }
        }
        None => ((if indent.is_some() { "," } else { ", " }).to_string(), ": ".to_string()),
    };
    let style = Style { ensure_ascii, sort_keys, indent, item_separator, key_separator };
    let mut out = String::new();
    write(state, value, &style, 0, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::{context, Environment};

    /// The texts are Python's repr of the same floats.
    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (expected, value) in [
            ("0.0", 0.0f64),
            ("-0.0", -0.0f64),
            ("1.0", 1.0f64),
            ("-1.5", -1.5f64),
            ("0.1", 0.1f64),
            ("0.0001", 0.0001f64),
            ("9.999e-05", 9.999e-05f64),
            ("1e-05", 1e-05f64),
            ("1000000000000000.0", 1000000000000000.0f64),
            ("1e+16", 1e+16f64),
            ("1.2345678901234568e+17", 1.2345678901234568e+17f64),
            ("1.7976931348623157e+308", 1.7976931348623157e+308f64),
            ("5e-324", 5e-324f64),
            ("9007199254740992.0", 9007199254740992.0f64),
            ("0.30000000000000004", 0.30000000000000004f64),
            ("0.3333333333333333", 0.3333333333333333f64),
            ("-2.5e-10", -2.5e-10f64),
            ("1e+22", 1e+22f64),
            ("1e+23", 1e+23f64),
        ] {
            assert_eq!(float_text(value), expected);
        }
        assert_eq!(float_text(f64::NAN), "NaN");
        assert_eq!(float_text(f64::NEG_INFINITY), "-Infinity");
    }

    fn render(call: &str, json: &str) -> String {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let value: Value = serde_json::from_str(json).unwrap();
        let source = format!("{{{{ v | {call} }}}}");
        match environment.render_str(&source, context! { v => value }) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        }
    }

    /// Each expected text is what Python's json.dumps gives for the same arguments.
    #[test]
    fn layouts_are_those_of_json_dumps() {
        for (call, json, expected) in [
            ("tojson", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\u{7f}\\n\"}"),
            ("tojson(indent=2)", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\n  \"b\": [\n    1,\n    2.5,\n    null,\n    true\n  ],\n  \"a\": \"中<>&'\\u0001\u{7f}\\n\"\n}"),
            ("tojson(ensure_ascii=true)", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\"b\": [1, 2.5, null, true], \"a\": \"\\u4e2d<>&'\\u0001\\u007f\\n\"}"),
            ("tojson(sort_keys=true)", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\"a\": \"中<>&'\\u0001\u{7f}\\n\", \"b\": [1, 2.5, null, true]}"),
            ("tojson(separators=[',', ':'])", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\"b\":[1,2.5,null,true],\"a\":\"中<>&'\\u0001\u{7f}\\n\"}"),
            ("tojson(false, 1)", "{\"b\": [1, 2.5, null, true], \"a\": \"中<>&'\\u0001\\u007f\\n\"}", "{\n \"b\": [\n  1,\n  2.5,\n  null,\n  true\n ],\n \"a\": \"中<>&'\\u0001\u{7f}\\n\"\n}"),
            ("tojson", "[]", "[]"),
            ("tojson(indent=2)", "[]", "[]"),
            ("tojson(ensure_ascii=true)", "[]", "[]"),
            ("tojson(sort_keys=true)", "[]", "[]"),
            ("tojson(separators=[',', ':'])", "[]", "[]"),
            ("tojson(false, 1)", "[]", "[]"),
            ("tojson", "{}", "{}"),
            ("tojson(indent=2)", "{}", "{}"),
            ("tojson(ensure_ascii=true)", "{}", "{}"),
            ("tojson(sort_keys=true)", "{}", "{}"),
            ("tojson(separators=[',', ':'])", "{}", "{}"),
            ("tojson(false, 1)", "{}", "{}"),
            ("tojson", "[{}, [], [[]]]", "[{}, [], [[]]]"),
            ("tojson(indent=2)", "[{}, [], [[]]]", "[\n  {},\n  [],\n  [\n    []\n  ]\n]"),
            ("tojson(ensure_ascii=true)", "[{}, [], [[]]]", "[{}, [], [[]]]"),
            ("tojson(sort_keys=true)", "[{}, [], [[]]]", "[{}, [], [[]]]"),
            ("tojson(separators=[',', ':'])", "[{}, [], [[]]]", "[{},[],[[]]]"),
            ("tojson(false, 1)", "[{}, [], [[]]]", "[\n {},\n [],\n [\n  []\n ]\n]"),
            ("tojson", "\"\\ud83d\\ude00 \\u2028\"", "\"😀 \u{2028}\""),
            ("tojson(indent=2)", "\"\\ud83d\\ude00 \\u2028\"", "\"😀 \u{2028}\""),
            ("tojson(ensure_ascii=true)", "\"\\ud83d\\ude00 \\u2028\"", "\"\\ud83d\\ude00 \\u2028\""),
            ("tojson(sort_keys=true)", "\"\\ud83d\\ude00 \\u2028\"", "\"😀 \u{2028}\""),
            ("tojson(separators=[',', ':'])", "\"\\ud83d\\ude00 \\u2028\"", "\"😀 \u{2028}\""),
            ("tojson(false, 1)", "\"\\ud83d\\ude00 \\u2028\"", "\"😀 \u{2028}\""),
        ] {
            assert_eq!(render(call, json), expected, "{call} of {json}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert!(render("tojson(nosuch=1)", "1").starts_with("error: "));
        assert!(render("tojson(separators=[1])", "1").starts_with("error: "));
        assert!(render("tojson(1, 2, 3, 4, 5)", "1").starts_with("error: "));
    }
}
