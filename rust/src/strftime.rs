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

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of Python's datetime.strftime in the C locale.
    #[test]
    fn dates_are_those_of_python() {
        let format = "%Y-%m-%d %H:%M:%S|%j %a %A %b %B|%I %p %y|%e %-d %-m %-H %-I|%w %u %F %T %R %D|%x %X %f %%";
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00|001 Thu Thursday Jan January|12 AM 70| 1 1 1 0 12|4 4 1970-01-01 00:00:00 00:00 01/01/70|01/01/70 00:00:00 000000 %"),
            (951782400, "2000-02-29 00:00:00|060 Tue Tuesday Feb February|12 AM 00|29 29 2 0 12|2 2 2000-02-29 00:00:00 00:00 02/29/00|02/29/00 00:00:00 000000 %"),
            (951868799, "2000-02-29 23:59:59|060 Tue Tuesday Feb February|11 PM 00|29 29 2 23 11|2 2 2000-02-29 23:59:59 23:59 02/29/00|02/29/00 23:59:59 000000 %"),
            (1709164800, "2024-02-29 00:00:00|060 Thu Thursday Feb February|12 AM 24|29 29 2 0 12|4 4 2024-02-29 00:00:00 00:00 02/29/24|02/29/24 00:00:00 000000 %"),
            (1735689599, "2024-12-31 23:59:59|366 Tue Tuesday Dec December|11 PM 24|31 31 12 23 11|2 2 2024-12-31 23:59:59 23:59 12/31/24|12/31/24 23:59:59 000000 %"),
            (-1, "1969-12-31 23:59:59|365 Wed Wednesday Dec December|11 PM 69|31 31 12 23 11|3 3 1969-12-31 23:59:59 23:59 12/31/69|12/31/69 23:59:59 000000 %"),
            (-86400, "1969-12-31 00:00:00|365 Wed Wednesday Dec December|12 AM 69|31 31 12 0 12|3 3 1969-12-31 00:00:00 00:00 12/31/69|12/31/69 00:00:00 000000 %"),
            (-2208988800, "1900-01-01 00:00:00|001 Mon Monday Jan January|12 AM 00| 1 1 1 0 12|1 1 1900-01-01 00:00:00 00:00 01/01/00|01/01/00 00:00:00 000000 %"),
            (4102444800, "2100-01-01 00:00:00|001 Fri Friday Jan January|12 AM 00| 1 1 1 0 12|5 5 2100-01-01 00:00:00 00:00 01/01/00|01/01/00 00:00:00 000000 %"),
            (253402300799, "9999-12-31 23:59:59|365 Fri Friday Dec December|11 PM 99|31 31 12 23 11|5 5 9999-12-31 23:59:59 23:59 12/31/99|12/31/99 23:59:59 000000 %"),
            (1764021600, "2025-11-24 22:00:00|328 Mon Monday Nov November|10 PM 25|24 24 11 22 10|1 1 2025-11-24 22:00:00 22:00 11/24/25|11/24/25 22:00:00 000000 %"),
            (43200, "1970-01-01 12:00:00|001 Thu Thursday Jan January|12 PM 70| 1 1 1 12 12|4 4 1970-01-01 12:00:00 12:00 01/01/70|01/01/70 12:00:00 000000 %"),
            (46800, "1970-01-01 13:00:00|001 Thu Thursday Jan January|01 PM 70| 1 1 1 13 1|4 4 1970-01-01 13:00:00 13:00 01/01/70|01/01/70 13:00:00 000000 %"),
            (1582934400, "2020-02-29 00:00:00|060 Sat Saturday Feb February|12 AM 20|29 29 2 0 12|6 6 2020-02-29 00:00:00 00:00 02/29/20|02/29/20 00:00:00 000000 %"),
        ] {
            assert_eq!(strftime(format, seconds).unwrap(), expected, "{seconds}");
        }
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_refused() {
        assert!(strftime("%Q", 0).is_err());
        assert!(strftime("%", 0).is_err());
        assert!(strftime("%Y", 253_402_300_800).is_err());
        assert!(strftime("%Y", -62_135_596_801).is_err());
    }
}
