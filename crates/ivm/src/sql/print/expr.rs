//! Expressions as text: every operator in its own parentheses, so no precedence is relied on.

use super::{Layout, commas, is_keyword_call};
use crate::expr::{
    Argument, Bound, Case, Direction, Expr as Generic, Frame, Index, Literal, Op, Over, Quantified, Special,
};
use crate::sql::ast::{Call, Expr, Name, Order, Query, Window};
use crate::sql::ident::Ident;
use crate::words::Word;

impl Layout {
    pub fn expr(self, e: &Expr) -> String {
        let text = |e: &Expr| self.expr(e);
        match e {
            Generic::Column(Name { relation: Some(relation), column }) => format!("{relation}.{column}"),
            Generic::Column(Name { relation: None, column }) => column.to_string(),
            Generic::WholeRow(relation) => format!("{relation}.*"),
            Generic::Literal(literal) => self::literal(literal),
            Generic::Cast(e, ty) => match **e {
                Generic::Literal(_) => format!("{}::{ty}", text(e)),
                _ => format!("({})::{ty}", text(e)),
            },
            Generic::Unary(op, e) => format!("({} {})", operator(op), text(e)),
            Generic::Binary(op, l, r) => format!("({} {} {})", text(l), operator(op), text(r)),
            Generic::And(parts) => self.connected(parts, " AND ", "TRUE"),
            Generic::Or(parts) => self.connected(parts, " OR ", "FALSE"),
            Generic::Not(e) => format!("(NOT {})", text(e)),
            Generic::Is(e, test) => format!("({} IS {})", text(e), test.text()),
            Generic::Distinct(l, r) => format!("({} IS DISTINCT FROM {})", text(l), text(r)),
            Generic::Case(case) => self.case(case),
            Generic::Call(call) => self.call(call),
            Generic::Special(special, operands) => {
                self::special(special, &operands.iter().map(text).collect::<Vec<_>>())
            }
            Generic::Keyword(keyword, None) => keyword.text().to_owned(),
            Generic::Keyword(keyword, Some(precision)) => format!("{}({precision})", keyword.text()),
            Generic::Array(items) => format!("ARRAY[{}]", self.exprs(items)),
            Generic::Row(items) => format!("ROW({})", self.exprs(items)),
            Generic::Subscript(e, indexes) => {
                let indexes: String = indexes.iter().map(|index| format!("[{}]", self.index(index))).collect();
                format!("({}){indexes}", text(e))
            }
            Generic::Field(e, field) => format!("({}).{field}", text(e)),
            Generic::Collate(e, collation) => format!("({} COLLATE {collation})", text(e)),
            Generic::Quantified(q) => format!("({} ({}))", self.quantified(q), text(&q.right)),
            Generic::QuantifiedQuery(q) => format!("({} {})", self.quantified(q), self.subquery(&q.right)),
            Generic::InQuery(e, query) => format!("({} IN {})", text(e), self.subquery(query)),
            Generic::Exists(query) => format!("(EXISTS {})", self.subquery(query)),
            Generic::Scalar(query) => self.subquery(query),
            Generic::ArrayOf(query) => format!("ARRAY{}", self.subquery(query)),
            Generic::Grouping(items) => format!("GROUPING({})", self.exprs(items)),
        }
    }

    pub fn exprs(self, exprs: &[Expr]) -> String {
        commas(exprs.iter().map(|e| self.expr(e)))
    }

    fn connected(self, parts: &[Expr], connective: &str, empty: &str) -> String {
        let texts: Vec<String> = parts.iter().map(|part| self.expr(part)).collect();
        if texts.is_empty() { empty.to_owned() } else { format!("({})", texts.join(connective)) }
    }

    fn quantified<R>(self, q: &Quantified<Name, Query, R>) -> String {
        format!("{} {} {}", self.expr(&q.left), operator(&q.op), if q.all { "ALL" } else { "ANY" })
    }

    fn case(self, Case { operand, arms, otherwise }: &Case<Name, Query>) -> String {
        let within = self.deeper();
        let arm = |(when, then): &(Expr, Expr)| format!("WHEN {} THEN {}", within.expr(when), within.expr(then));
        let otherwise = otherwise.iter().map(|e| format!("ELSE {}", within.expr(e)));
        let parts: Vec<String> = arms.iter().map(arm).chain(otherwise).collect();
        let operand = operand.as_ref().map(|operand| format!(" {}", self.expr(operand))).unwrap_or_default();
        match self.fits(&parts) {
            true => format!("CASE{operand} {} END", parts.join(" ")),
            false => format!("CASE{operand}{0}{1}{2}END", within.line(), parts.join(&within.line()), self.line()),
        }
    }

    fn index(self, index: &Index<Name, Query>) -> String {
        let bound = |bound: &Option<Expr>| bound.as_ref().map(|e| self.expr(e)).unwrap_or_default();
        match index {
            Index::At(at) => self.expr(at),
            Index::Slice(from, to) => format!("{}:{}", bound(from), bound(to)),
        }
    }

    fn call(self, call: &Call) -> String {
        let Call { name, args, star, distinct, order_by, within_group, filter, over } = call;
        let name = if is_keyword_call(name) { name.name.as_str().to_ascii_uppercase() } else { name.to_string() };
        let args = commas(args.iter().map(|Argument { name, variadic, value }| {
            let name = name.as_ref().map(|name| format!("{name} => ")).unwrap_or_default();
            format!("{}{name}{}", if *variadic { "VARIADIC " } else { "" }, self.expr(value))
        }));
        let mut text =
            format!("{name}({}{}{args}", if *distinct { "DISTINCT " } else { "" }, if *star { "*" } else { "" });
        if !order_by.is_empty() {
            text += &format!(" ORDER BY {}", self.orders(order_by));
        }
        text += ")";
        if !within_group.is_empty() {
            text += &format!(" WITHIN GROUP (ORDER BY {})", self.orders(within_group));
        }
        if let Some(filter) = filter {
            text += &format!(" FILTER (WHERE {})", self.expr(filter));
        }
        text + &match over {
            None => String::new(),
            Some(Over::Named(name)) => format!(" OVER {name}"),
            Some(Over::Window(window)) => format!(" OVER {}", self.window(window)),
        }
    }

    pub fn window(self, Window { base, partition_by, order_by, frame }: &Window) -> String {
        let mut clauses: Vec<String> = base.iter().map(Ident::to_string).collect();
        if !partition_by.is_empty() {
            clauses.push(format!("PARTITION BY {}", self.exprs(partition_by)));
        }
        if !order_by.is_empty() {
            clauses.push(format!("ORDER BY {}", self.orders(order_by)));
        }
        clauses.extend(frame.as_ref().map(|frame| self.frame(frame)));
        format!("({})", clauses.join(" "))
    }

    fn frame(self, Frame { unit, start, end }: &Frame<Name, Query>) -> String {
        let unit = unit.text();
        match end {
            None => format!("{unit} {}", self.bound(start)),
            Some(end) => format!("{unit} BETWEEN {} AND {}", self.bound(start), self.bound(end)),
        }
    }

    fn bound(self, bound: &Bound<Name, Query>) -> String {
        match bound {
            Bound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
            Bound::Preceding(offset) => format!("{} PRECEDING", self.expr(offset)),
            Bound::CurrentRow => "CURRENT ROW".to_owned(),
            Bound::Following(offset) => format!("{} FOLLOWING", self.expr(offset)),
            Bound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
        }
    }

    fn orders(self, keys: &[Order]) -> String {
        commas(keys.iter().map(|key| self.order(key)))
    }

    pub fn order(self, Order { expr, direction, nulls_first }: &Order) -> String {
        let direction = match direction {
            Direction::Ascending => String::new(),
            Direction::Descending => " DESC".to_owned(),
            Direction::Using(op) => format!(" USING {}", operator(op)),
        };
        let nulls = match nulls_first {
            None => "",
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
        };
        format!("{}{direction}{nulls}", self.expr(expr))
    }
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Number(digits) => digits.clone(),
        Literal::String(value) => quoted(value),
        Literal::Bits(prefix, digits) => format!("{prefix}{}", quoted(digits)),
    }
}

/// A string constant under `standard_conforming_strings = on`: only quotes are special.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn operator(op: &Op) -> String {
    match &op.schema {
        Some(schema) => format!("OPERATOR({schema}.{})", op.symbol),
        None => op.symbol.clone(),
    }
}

/// A construct spelled with keywords, over the texts of its operands.
fn special(special: &Special, operands: &[String]) -> String {
    let after = |keywords: &[&str]| -> String {
        operands.iter().skip(1).zip(keywords).map(|(e, keyword)| format!(" {keyword} {e}")).collect()
    };
    match (special, operands) {
        (Special::Extract(field), [e]) => format!("EXTRACT({field} FROM {e})"),
        (Special::Position, [needle, hay]) => format!("POSITION(({needle}) IN ({hay}))"),
        (Special::Substring { from: true }, [e, ..]) => format!("SUBSTRING({e}{})", after(&["FROM", "FOR"])),
        (Special::Substring { from: false }, [e, ..]) => format!("SUBSTRING({e}{})", after(&["FOR"])),
        (Special::Overlay, [e, ..]) => format!("OVERLAY({e}{})", after(&["PLACING", "FROM", "FOR"])),
        (Special::Trim(side), [what, e]) => format!("TRIM({} {what} FROM {e})", side.text()),
        (Special::Trim(side), [e]) => format!("TRIM({} FROM {e})", side.text()),
        (Special::AtTimeZone, [e, zone]) => format!("({e} AT TIME ZONE {zone})"),
        (Special::Normalize(None), [e]) => format!("NORMALIZE({e})"),
        (Special::Normalize(Some(form)), [e]) => format!("NORMALIZE({e}, {form})"),
        (Special::IsNormalized(form, negated), [e]) => {
            let form = form.as_ref().map(|form| format!("{form} ")).unwrap_or_default();
            format!("({e} IS {}{form}NORMALIZED)", if *negated { "NOT " } else { "" })
        }
        (Special::Overlaps, [a, b, c, d]) => format!("(({a}, {b}) OVERLAPS ({c}, {d}))"),
        // The parser gives every construct its operands.
        _ => operands.concat(),
    }
}
