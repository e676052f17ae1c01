//! strftime of the C locale for `strftime_now`: the directives that templates use, of proleptic Gregorian dates.

use minijinja::{Error, ErrorKind};

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];

struct Moment {
    year: i64,
    month: i64, // 1..12
    day: i64,   // 1..31
    day_of_year: i64, // 1..366
    weekday: i64, // 0 = Sunday
    hour: i64,
    minute: i64,
    second: i64,
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// Splits seconds since 1970 into date and time. Eras of 400 years (146,097 days) that start on a 1 March, so that the
/// leap day is the last day of its year.
fn split(seconds: i64) -> Moment {
    let days = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    let shifted = days + 719_468; // 0000-03-01 to 1970-01-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_from_march + 2) / 153;
    let day = day_from_march - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let before: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = i64::from(month > 2 && is_leap(year));
    Moment {
        year,
        month,
        day,
        day_of_year: before[(month - 1) as usize] + day + leap,
        weekday: (days + 4).rem_euclid(7),
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

/// Formats `seconds` (since 1970, local time). An unknown directive is an error rather than a silent gap.
pub fn strftime(format: &str, seconds: i64) -> Result<String, Error> {
    // Years 1 to 9999, as Python's datetime has them.
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds) {
        return Err(Error::new(ErrorKind::InvalidOperation, "strftime_now: time out of range"));
    }
    let m = split(seconds);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = chars.next();
        let unpadded = directive == Some('-');
        if unpadded {
            directive = chars.next();
        }
        let two = |v: i64| if unpadded { v.to_string() } else { format!("{v:02}") };
        let hour12 = if m.hour % 12 == 0 { 12 } else { m.hour % 12 };
        let text = match directive {
            Some('Y') => m.year.to_string(),
            Some('y') => two(m.year % 100),
            Some('m') => two(m.month),
            Some('d') => two(m.day),
            Some('e') if unpadded => m.day.to_string(),
            Some('e') => format!("{:2}", m.day),
            Some('H') => two(m.hour),
            Some('I') => two(hour12),
            Some('M') => two(m.minute),
            Some('S') => two(m.second),
            Some('f') => "000000".to_string(),
            Some('j') if unpadded => m.day_of_year.to_string(),
            Some('j') => format!("{:03}", m.day_of_year),
            Some('p') => (if m.hour < 12 { "AM" } else { "PM" }).to_string(),
            Some('A') => DAYS[m.weekday as usize].to_string(),
            Some('a') => DAYS[m.weekday as usize][..3].to_string(),
            Some('B') => MONTHS[(m.month - 1) as usize].to_string(),
            Some('b') | Some('h') => MONTHS[(m.month - 1) as usize][..3].to_string(),
            Some('w') => m.weekday.to_string(),
            Some('u') => (if m.weekday == 0 { 7 } else { m.weekday }).to_string(),
            Some('F') => format!("{}-{:02}-{:02}", m.year, m.month, m.day),
            Some('T') => format!("{:02}:{:02}:{:02}", m.hour, m.minute, m.second),
            Some('R') => format!("{:02}:{:02}", m.hour, m.minute),
            Some('D') | Some('x') => format!("{:02}/{:02}/{:02}", m.month, m.day, m.year % 100),
            Some('X') => format!("{:02}:{:02}:{:02}", m.hour, m.minute, m.second),
            Some('n') => "\n".to_string(),
            Some('t') => "\t".to_string(),
            Some('Z') | Some('z') => String::new(), // Python's naive datetime has no zone
            Some('%') => "%".to_string(),
            other => {
                let shown = other.map(String::from).unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: unsupported directive %{shown}"),
                ));
            }
        };
        out.push_str(&text);
    }
    Ok(out)
}
