//! What a kept console's file name says: `20260304T111213Z-registry-prod-us-south-az1.txt`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::alert::Zone;

/// The form of a name, for people.
pub const FORM: &str = "YYYYMMDDTHHMMSSZ-<cluster>.txt";

/// When the build was, and which cluster it was asked for; `None` where a name is not of the form.
pub fn parse(name: &str) -> Option<(Timestamp, Zone)> {
    let (time, rest) = name.split_at_checked("YYYYMMDDTHHMMSSZ".len())?;
    let cluster = rest.strip_prefix('-')?.strip_suffix(".txt")?;
    let form = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if !time.bytes().enumerate().all(form) || cluster.is_empty() {
        return None;
    }
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    Some((time.to_zoned(TimeZone::UTC).ok()?.timestamp(), Zone::new(cluster)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_which_cluster() {
        let (at, zone) = parse("20260304T111213Z-registry-prod-us-south-az1.txt").unwrap();
        assert_eq!((at.to_string().as_str(), zone.as_str()), ("2026-03-04T11:12:13Z", "registry-prod-us-south-az1"));
        for other in [
            "",
            "20260304T111213Z-.txt",
            "20260304T111213Z.txt",
            "20260304T111213Z-a",
            "20260304T111213-registry-a-az1.txt",
            "2026-03-04T11:12:13Z-registry-a-az1.txt",
            "20261304T111213Z-a.txt",
            "20260304T251213Z-a.txt",
            "+0260304T111213Z-a.txt",
            "20260304t111213Z-a.txt",
            "2026030éT111213Z-a.txt",
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
