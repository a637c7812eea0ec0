//! What `sqlparser` cannot parse of PostgreSQL's canonical SQL, as hooks of a dialect.
//!
//! Constructs without a place in its tree become *marked calls*: functions whose name carries the quote
//! mark `CALL`, which no text can contain. `expr` takes them apart again.

use std::any::TypeId;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Value,
};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::tokens::{CALL, starts_with};

type Parsed = Result<Expr, ParserError>;

/// PostgreSQL's dialect with the few features that canonical SQL has.
#[derive(Debug, Default)]
pub struct Canonical(PostgreSqlDialect);

impl Dialect for Canonical {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('"')
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.0.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.0.is_identifier_part(c)
    }

    fn is_custom_operator_part(&self, c: char) -> bool {
        self.0.is_custom_operator_part(c)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.0.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.0.prec_value(precedence)
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_empty_projections(&self) -> bool {
        true
    }

    fn supports_order_by_using_operator(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        false
    }

    fn parse_prefix(&self, p: &mut Parser) -> Option<Parsed> {
        let [first, second] = [p.peek_nth_token_no_skip(0).token, p.peek_nth_token_no_skip(1).token];
        match first {
            Token::CustomBinaryOperator(symbol) => Some(unary(p, symbol)),
            Token::LParen if is_query(p, 0) => Some(parenthesized_query(p).map(Expr::Subquery)),
            Token::Word(Word { value, quote_style: Some(mark), .. }) => Some(name(p, Ident::with_quote(mark, value))),
            Token::Word(Word { keyword: Keyword::VARIADIC, .. }) => {
                p.next_token();
                Some(p.parse_expr().map(|value| call("variadic", vec![value])))
            }
            Token::Word(Word { value, .. }) if second == Token::LParen => phrase(p, &value),
            _ => None,
        }
    }

    fn parse_infix(&self, p: &mut Parser, left: &Expr, _precedence: u8) -> Option<Parsed> {
        match p.peek_token().token {
            Token::Word(Word { keyword: Keyword::COLLATE, .. }) => {
                p.next_token();
                let collation = p.parse_object_name(false);
                Some(collation.map(|collation| Expr::Collate { expr: Box::new(left.clone()), collation }))
            }
            Token::CustomBinaryOperator(symbol) => match p.peek_nth_token_no_skip(1).token {
                Token::Word(Word { keyword: Keyword::ANY, .. }) => Some(quantified(p, left, symbol, false)),
                Token::Word(Word { keyword: Keyword::ALL, .. }) => Some(quantified(p, left, symbol, true)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn precedence(precedence: Precedence) -> u8 {
    PostgreSqlDialect {}.prec_value(precedence)
}

/// A marked call.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote(CALL, name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        within_group: vec![],
        filter: None,
        null_treatment: None,
        over: None,
    })
}

/// An identifier or the name of a call. Taken here so that `name 'text'` is never a typed constant.
fn name(p: &mut Parser, name: Ident) -> Parsed {
    p.next_token();
    match p.peek_token().token {
        Token::LParen => p.parse_function(ObjectName::from(vec![name])),
        _ => Ok(Expr::Identifier(name)),
    }
}

/// A prefix operator. Its operand is in parentheses, or at most has casts and subscripts.
fn unary(p: &mut Parser, symbol: String) -> Parsed {
    p.next_token();
    let operand = p.parse_subexpr(precedence(Precedence::AtTz))?;
    Ok(call("unary", vec![Expr::Value(Value::SingleQuotedString(symbol).into()), operand]))
}

fn quantified(p: &mut Parser, left: &Expr, symbol: String, all: bool) -> Parsed {
    p.next_token();
    p.next_token();
    let right = match is_query(p, 0) {
        true => Expr::Subquery(parenthesized_query(p)?),
        false => {
            p.expect_token(&Token::LParen)?;
            let right = p.parse_expr()?;
            p.expect_token(&Token::RParen)?;
            right
        }
    };
    let (left, right, compare_op) = (Box::new(left.clone()), Box::new(right), BinaryOperator::Custom(symbol));
    Ok(match all {
        true => Expr::AllOp { left, compare_op, right },
        false => Expr::AnyOp { left, compare_op, right, is_some: false },
    })
}

/// Functions whose arguments are separated by keywords; an absent argument is an empty tuple.
fn phrase(p: &mut Parser, name: &str) -> Option<Parsed> {
    let read: fn(&mut Parser) -> Result<Vec<Expr>, ParserError> = match name {
        "EXTRACT" => |p| Ok(vec![word(p)?, expect(p, Keyword::FROM)?]),
        "POSITION" => |p| {
            let needle = p.parse_subexpr(precedence(Precedence::Between))?;
            Ok(vec![needle, expect(p, Keyword::IN)?])
        },
        "SUBSTRING" => |p| Ok(vec![p.parse_expr()?, optional(p, Keyword::FROM)?, optional(p, Keyword::FOR)?]),
        "OVERLAY" => |p| {
            let (value, new) = (p.parse_expr()?, expect(p, Keyword::PLACING)?);
            Ok(vec![value, new, expect(p, Keyword::FROM)?, optional(p, Keyword::FOR)?])
        },
        "TRIM" => |p| {
            let side = word(p)?;
            let what = if p.peek_keyword(Keyword::FROM) { absent() } else { p.parse_expr()? };
            Ok(vec![side, what, expect(p, Keyword::FROM)?])
        },
        "NORMALIZE" => |p| {
            let value = p.parse_expr()?;
            let form = if p.consume_token(&Token::Comma) { word(p)? } else { absent() };
            Ok(vec![value, form])
        },
        _ => return None,
    };
    p.next_token();
    p.next_token();
    Some(read(p).and_then(|args| p.expect_token(&Token::RParen).map(|_| call(name, args))))
}

fn absent() -> Expr {
    Expr::Tuple(vec![])
}

fn expect(p: &mut Parser, keyword: Keyword) -> Parsed {
    p.expect_keyword_is(keyword)?;
    p.parse_expr()
}

fn optional(p: &mut Parser, keyword: Keyword) -> Parsed {
    if p.parse_keyword(keyword) { p.parse_expr() } else { Ok(absent()) }
}

/// A keyword or name that is an argument.
fn word(p: &mut Parser) -> Parsed {
    match p.next_token().token {
        Token::Word(Word { value, .. }) => Ok(Expr::Value(Value::SingleQuotedString(value).into())),
        token => Err(ParserError::ParserError(format!("unexpected {token}"))),
    }
}

fn parenthesized_query(p: &mut Parser) -> Result<Box<sqlparser::ast::Query>, ParserError> {
    p.expect_token(&Token::LParen)?;
    let query = p.parse_query()?;
    p.expect_token(&Token::RParen)?;
    Ok(query)
}

/// Whether the n-th token opens the parentheses of a query. A query may itself start with one in
/// parentheses, and only what follows those tells it from an expression.
fn is_query(p: &Parser, n: usize) -> bool {
    let starts = |words: &[&str]| starts_with(&[p.peek_nth_token_no_skip(n + 1).token], words);
    let opens = p.peek_nth_token_no_skip(n).token == Token::LParen;
    opens
        && (starts(&["SELECT"])
            || starts(&["WITH"])
            || starts(&["VALUES"])
            || is_query(p, n + 1) && is_operand(p, n + 1))
}

/// Whether what follows the parentheses that open at the n-th token belongs to a query.
fn is_operand(p: &Parser, n: usize) -> bool {
    const CLAUSES: [&str; 7] = ["UNION", "INTERSECT", "EXCEPT", "ORDER", "OFFSET", "LIMIT", "FETCH"];
    let mut depth = 0;
    for n in n.. {
        match p.peek_nth_token_no_skip(n).token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF => return false,
            _ => {}
        }
        if depth == 0 {
            let next = p.peek_nth_token_no_skip(n + 1).token;
            return next == Token::RParen
                || CLAUSES.iter().any(|clause| starts_with(std::slice::from_ref(&next), &[clause]));
        }
    }
    false
}
