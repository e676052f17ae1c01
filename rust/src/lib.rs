//! The C border: texts in, buffers out, panics caught. What is behind it lives in one module per subject.

mod strftime;
mod template;
mod tojson;

use std::os::raw::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe};

use template::{Failure, Input, Template};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const c_char,
    len: usize,
}

#[repr(C)]
pub struct Buffer {
    data: *mut c_char,
    len: usize,
    capacity: usize,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok = 0,
    Syntax = 1,
    BadInput = 2,
    Refused = 3,
    OutOfFuel = 4,
    Unknown = 5,
    Render = 6,
    Panic = 7,
}

#[repr(C)]
pub struct TemplateInput {
    messages_json: Text,
    tools_json: Text,
    extra_json: Text,
    add_generation_prompt: c_int,
    wall_ms: i64,
    utc_offset_s: i32,
}

impl Text {
    /// The bytes as a str; `what` names them in the error.
    unsafe fn as_str<'a>(self, what: &str) -> Result<&'a str, Failure> {
        if self.len == 0 {
            return Ok("");
        }
        let bytes = std::slice::from_raw_parts(self.data.cast::<u8>(), self.len);
        std::str::from_utf8(bytes).map_err(|e| {
            let status = if what == "template" { Status::Syntax } else { Status::BadInput };
            Failure::new(status, format!("{what}: not UTF-8 at byte {}", e.valid_up_to()))
        })
    }
}

fn give(text: String, out: *mut Buffer) {
    let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
    if !out.is_null() {
        // SAFETY: out points to a Buffer of the caller's.
        unsafe {
            *out = Buffer { data: bytes.as_mut_ptr().cast(), len: bytes.len(), capacity: bytes.capacity() };
        }
    } else {
        drop(std::mem::ManuallyDrop::into_inner(bytes));
    }
}

fn guarded<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|s| s.to_string())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown panic".to_string());
            Err(Failure::new(Status::Panic, text))
        }
    }
}

/// # Safety
/// The texts, `out` and `message` are valid for the call, as concerto_rust.h says.
#[no_mangle]
pub unsafe extern "C" fn concerto_template_compile(
    source: Text,
    bos: Text,
    eos: Text,
    out: *mut *mut Template,
    message: *mut Buffer,
) -> Status {
    let made = guarded(|| Template::compile(source.as_str("template")?, bos.as_str("bos")?, eos.as_str("eos")?));
    match made {
        Ok(template) => {
            *out = Box::into_raw(Box::new(template));
            Status::Ok
        }
        Err(failure) => {
            give(failure.message, message);
            failure.status
        }
    }
}

/// # Safety
/// `template` came from concerto_template_compile; the texts of `input` and `out` are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn concerto_template_render(
    template: *const Template,
    input: *const TemplateInput,
    out: *mut Buffer,
) -> Status {
    let rendered = guarded(|| {
        let input = &*input;
        (*template).render(&Input {
            messages: input.messages_json.as_str("messages")?,
            tools: input.tools_json.as_str("tools")?,
            extra: input.extra_json.as_str("extra")?,
            add_generation_prompt: input.add_generation_prompt != 0,
            wall_ms: input.wall_ms,
            utc_offset_s: input.utc_offset_s,
        })
    });
    match rendered {
        Ok(text) => {
            give(text, out);
            Status::Ok
        }
        Err(failure) => {
            give(failure.message, out);
            failure.status
        }
    }
}

/// # Safety
/// `template` came from concerto_template_compile and isn't used afterwards; NULL is allowed.
#[no_mangle]
pub unsafe extern "C" fn concerto_template_free(template: *mut Template) {
    if !template.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(template))));
    }
}

/// # Safety
/// `buffer` came from this library and isn't used afterwards; a NULL one is allowed.
#[no_mangle]
pub unsafe extern "C" fn concerto_buffer_free(buffer: Buffer) {
    if !buffer.data.is_null() {
        drop(Vec::from_raw_parts(buffer.data.cast::<u8>(), buffer.len, buffer.capacity));
    }
}
