//! Exact decimal numbers, as PostgreSQL's `numeric` shows them: the scale is part of the value.

use std::cmp::Ordering;
use std::fmt;

use crate::error::{Error, Result};

/// `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numeric {
    pub digits: i128,
    pub scale: u32,
}

/// Decimals of a quotient at least, as for most operands in PostgreSQL.
const QUOTIENT_SCALE: u32 = 16;

impl Numeric {
    pub fn integer(digits: i128) -> Numeric {
        Numeric { digits, scale: 0 }
    }

    /// Reads `-12.50`, `3` or `1e20`.
    pub fn parse(text: &str) -> Result<Numeric> {
        let bad = || Error::Evaluation(format!("\"{text}\" is no number"));
        let (mantissa, exponent) = text.trim().split_once(['e', 'E']).unwrap_or((text.trim(), "0"));
        let exponent: i32 = exponent.parse().map_err(|_| bad())?;
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: i128 = format!("{whole}{decimals}").parse().map_err(|_| bad())?;
        let scale = i32::try_from(decimals.len()).map_err(|_| bad())? - exponent;
        match u32::try_from(scale) {
            Ok(scale) => Ok(Numeric { digits, scale }),
            Err(_) => Ok(Numeric::integer(digits.checked_mul(power_of_ten(scale.unsigned_abs())?).ok_or_else(bad)?)),
        }
    }

    /// The same value with more decimals, or rounded half away from zero to fewer.
    pub fn rescaled(self, scale: u32) -> Result<Numeric> {
        if scale >= self.scale {
            let factor = power_of_ten(scale - self.scale)?;
            return Ok(Numeric { digits: self.digits.checked_mul(factor).ok_or_else(overflow)?, scale });
        }
        let factor = power_of_ten(self.scale - scale)?;
        Ok(Numeric { digits: round_div(self.digits, factor), scale })
    }

    /// The same value with digits beyond `scale` cut off.
    pub fn truncated(self, scale: u32) -> Result<Numeric> {
        match scale >= self.scale {
            true => self.rescaled(scale),
            false => Ok(Numeric { digits: self.digits / power_of_ten(self.scale - scale)?, scale }),
        }
    }

    /// The same value with the fewest decimals: equal numbers become the same.
    pub fn trimmed(mut self) -> Numeric {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    pub fn plus(self, other: Numeric) -> Result<Numeric> {
        let scale = self.scale.max(other.scale);
        let sum = self.rescaled(scale)?.digits.checked_add(other.rescaled(scale)?.digits);
        Ok(Numeric { digits: sum.ok_or_else(overflow)?, scale })
    }

    pub fn negate(self) -> Numeric {
        Numeric { digits: -self.digits, scale: self.scale }
    }

    pub fn multiply(self, other: Numeric) -> Result<Numeric> {
        let digits = self.digits.checked_mul(other.digits).ok_or_else(overflow)?;
        Ok(Numeric { digits, scale: self.scale + other.scale })
    }

    pub fn divide(self, other: Numeric) -> Result<Numeric> {
        if other.digits == 0 {
            return Err(Error::Evaluation("division by zero".to_owned()));
        }
        let (dividend, divisor) = (self.trimmed(), other.trimmed());
        let scale = QUOTIENT_SCALE.max(self.scale).max(other.scale);
        let dividend = dividend.rescaled(scale + divisor.scale)?;
        Ok(Numeric { digits: round_div(dividend.digits, divisor.digits), scale })
    }

    /// The power with a non-negative integer exponent.
    pub fn power(self, exponent: Numeric) -> Result<Numeric> {
        let exponent = exponent.trimmed();
        let times = u32::try_from(exponent.digits).ok().filter(|_| exponent.scale == 0);
        let times = times.ok_or_else(|| Error::Evaluation("a power that is not a natural number".to_owned()))?;
        (0..times).try_fold(Numeric::integer(1), |power, _| power.multiply(self))
    }

    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Orders by value: `1.0` equals `1.00`.
    pub fn compare(self, other: Numeric) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.rescaled(scale), other.rescaled(scale)) {
            (Ok(left), Ok(right)) => left.digits.cmp(&right.digits),
            _ => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, decimals) = digits.split_at(digits.len() - scale);
        let sign = if self.digits < 0 { "-" } else { "" };
        match decimals {
            "" => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{decimals}"),
        }
    }
}

fn power_of_ten(exponent: u32) -> Result<i128> {
    10i128.checked_pow(exponent).ok_or_else(overflow)
}

fn overflow() -> Error {
    Error::Evaluation("a number too large for the reference evaluator".to_owned())
}

fn round_div(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    match rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2) && rest != 0 {
        true if (rest < 0) == (divisor < 0) => quotient + 1,
        true => quotient - 1,
        false => quotient,
    }
}

#[cfg(test)]
mod tests {
    use super::Numeric;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    #[test]
    fn arithmetic_keeps_postgresql_scales() {
        assert_eq!(n("1.50").plus(n("2")).unwrap().to_string(), "3.50");
        assert_eq!(n("1.5").multiply(n("-0.20")).unwrap().to_string(), "-0.300");
        assert_eq!(n("2").divide(n("3")).unwrap().to_string(), "0.6666666666666667");
        assert_eq!(n("-1").divide(n("3")).unwrap().to_string(), "-0.3333333333333333");
        assert_eq!(n("10").power(n("3")).unwrap().to_string(), "1000");
        assert_eq!(n("1e3").to_string(), "1000");
        assert_eq!(n("2.5").rescaled(0).unwrap().to_string(), "3");
        assert_eq!(n("-2.5").rescaled(0).unwrap().to_string(), "-3");
        assert_eq!(n("-0.05").to_string(), "-0.05");
    }

    #[test]
    fn equal_numbers_may_look_different() {
        assert!(n("1.0").compare(n("1.00")).is_eq());
        assert_ne!(n("1.0"), n("1.00"));
        assert_eq!(n("1.0").trimmed(), n("1.00").trimmed());
        assert!(n("-1.5").compare(n("1")).is_lt());
    }
}
