//! A chat template as Hugging Face transformers renders it: Jinja2 with trim_blocks and lstrip_blocks, Python's string
//! methods, `tojson` of Python's json module, `raise_exception`, `strftime_now`, loop controls, `{% generation %}`.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};

use crate::strftime::strftime;
use crate::tojson::tojson;
use crate::Status;

/// What one render may cost: about one unit an instruction or 64 bytes made. A prompt of a hundred messages takes some
/// ten thousand; a runaway loop hits the limit within tenths of a second.
const FUEL: u64 = 2_000_000;
const NAME: &str = "chat_template";

#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub message: String,
}

impl Failure {
    pub fn new(status: Status, message: String) -> Failure {
        Failure { status, message }
    }
}

pub struct Template {
    env: Environment<'static>,
    bos: Value,
    eos: Value,
}

pub struct Input<'a> {
    pub messages: &'a str,
    pub tools: &'a str,
    pub extra: &'a str,
    pub add_generation_prompt: bool,
    pub wall_ms: i64,
    pub utc_offset_s: i32,
}

/// Marks an error as the template's own word to the caller, so that it isn't taken for a defect of the template.
#[derive(Debug)]
struct Refusal(String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
}

/// Python can't iterate over None, minijinja can: templates ask `tools is iterable` to find out whether there are any.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// transformers marks what the assistant says with `{% generation %}`; for rendering it is a block that is always on.
/// The whitespace signs of the tag are kept, since they decide which line ends survive.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        out.push_str(&rest[..start]);
        let tag = &rest[start..];
        let Some(end) = tag.find("%}") else {
            out.push_str(tag);
            return out;
        };
        let inner = &tag[2..end];
        let open = inner.chars().next().filter(|c| *c == '-' || *c == '+');
        let word = inner.trim_start_matches(['-', '+']);
        let close = word.chars().next_back().filter(|c| *c == '-' || *c == '+');
        let replacement = match word.trim_end_matches(['-', '+']).trim() {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match replacement {
            Some(text) => {
                out.push_str("{%");
                out.extend(open);
                out.push(' ');
                out.push_str(text);
                out.push(' ');
                out.extend(close);
                out.push_str("%}");
                rest = &tag[end + 2..];
            }
            None => {
                // Only the opening sign is passed over: "%}" may lie in a string of this tag.
                out.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn describe(error: &Error, status_hint: Option<Status>) -> Failure {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = source {
        if let Some(refusal) = e.downcast_ref::<Refusal>() {
            return Failure::new(Status::Refused, refusal.0.clone());
        }
        source = e.source();
    }
    let status = status_hint.unwrap_or(match error.kind() {
        ErrorKind::OutOfFuel => Status::OutOfFuel,
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => Status::Unknown,
        ErrorKind::SyntaxError => Status::Syntax,
        _ => Status::Render,
    });
    let mut message = match error.line() {
        Some(line) => format!("line {line}: {}", error.kind()),
        None => error.kind().to_string(),
    };
    if let Some(detail) = error.detail() {
        message.push_str(": ");
        message.push_str(detail);
    }
    Failure::new(status, message)
}

fn parse_json(text: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|e| Failure::new(Status::BadInput, format!("{what}: invalid JSON: {e}")))
}

fn parse_array(text: &str, what: &str) -> Result<Value, Failure> {
    let value = parse_json(text, what)?;
    if value.kind() != minijinja::value::ValueKind::Seq {
        return Err(Failure::new(Status::BadInput, format!("{what}: expected an array, found {}", value.kind())));
    }
    Ok(value)
}

impl Template {
    pub fn compile(source: &str, bos: &str, eos: &str) -> Result<Template, Failure> {
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|e| describe(&e, Some(Status::Panic)))?;
        env.set_syntax(syntax);
        env.set_fuel(Some(FUEL));
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_filter("tojson", tojson);
        env.add_function("raise_exception", raise_exception);
        env.add_test("iterable", is_iterable);
        env.add_template_owned(NAME, without_generation_tags(source))
            .map_err(|e| describe(&e, Some(Status::Syntax)))?;
        Ok(Template { env, bos: Value::from(bos), eos: Value::from(eos) })
    }

    pub fn render(&self, input: &Input) -> Result<String, Failure> {
        let mut variables: BTreeMap<String, Value> = BTreeMap::new();
        variables.insert("bos_token".into(), self.bos.clone());
        variables.insert("eos_token".into(), self.eos.clone());
        if !input.extra.is_empty() {
            let extra = parse_json(input.extra, "extra")?;
            if extra.kind() != minijinja::value::ValueKind::Map {
                let found = extra.kind();
                return Err(Failure::new(Status::BadInput, format!("extra: expected an object, found {found}")));
            }
            let keys = extra.try_iter().map_err(|e| describe(&e, Some(Status::BadInput)))?;
            for key in keys {
                let value = extra.get_item(&key).map_err(|e| describe(&e, Some(Status::BadInput)))?;
                variables.insert(key.to_string(), value);
            }
        }
        variables.insert("messages".into(), parse_array(input.messages, "messages")?);
        // None, not undefined, as transformers passes them: `tools is not none` has to be false without tools.
        let tools = if input.tools.is_empty() { Value::from(()) } else { parse_array(input.tools, "tools")? };
        variables.insert("tools".into(), tools);
        variables.entry("documents".into()).or_insert_with(|| Value::from(()));
        variables.insert("add_generation_prompt".into(), Value::from(input.add_generation_prompt));
        let local_s = input.wall_ms.div_euclid(1000).saturating_add(i64::from(input.utc_offset_s));
        variables.insert("strftime_now".into(), Value::from_function(move |format: String| strftime(&format, local_s)));
        let template = self.env.get_template(NAME).map_err(|e| describe(&e, Some(Status::Panic)))?;
        template.render(Value::from(variables)).map_err(|e| describe(&e, None))
    }
}
