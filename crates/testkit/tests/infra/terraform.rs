//! Reads Terraform's files, and evaluates what can be known from the files alone.

use std::{collections::BTreeMap, fs};

use hcl_edit::{
    expr::{BinaryOperator, Expression, Object, ObjectKey, UnaryOperator},
    structure::{Block, Body},
    template::Element,
};
use serde_json::{Map, Value};

/// Which values the variables have: their defaults, or the least or most that their validations allow. `Most` also sets
/// variables whose default is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    Default,
    Least,
    Most,
}

/// The files of one folder.
pub(crate) struct Terraform {
    blocks: Vec<Block>,
    variables: BTreeMap<String, Value>,
}

impl Terraform {
    pub(crate) fn read(folder: &str, variables: Variables) -> Self {
        let files = fs::read_dir(crate::root().join(folder)).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "tf"));
        let blocks = files.flat_map(|path| {
            let body = fs::read_to_string(&path).unwrap().parse::<Body>();
            body.unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_blocks()
        });
        let mut terraform = Self { blocks: blocks.collect(), variables: BTreeMap::new() };
        let values = terraform.blocks("variable").filter_map(|block| {
            let name = block.labels[0].as_str();
            Some((name.to_owned(), terraform.variable(name, block, variables)?))
        });
        terraform.variables = values.collect();
        terraform
    }

    /// The contents of all blocks of a kind, by their labels joined with dots. Blocks within them are lists.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = (String, Value)> {
        self.blocks(kind).map(|block| {
            let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
            (labels.join("."), self.contents(&block.body))
        })
    }

    /// The contents of the block with these labels, joined with dots.
    pub(crate) fn block(&self, kind: &str, labels: &str) -> Value {
        let found = self.all(kind).find(|(address, _)| address == labels);
        found.unwrap_or_else(|| panic!("no {kind} {labels}")).1
    }

    /// The resources of a type, by name.
    pub(crate) fn resources(&self, of: &str) -> impl Iterator<Item = (String, Value)> {
        let prefix = format!("{of}.");
        self.all("resource")
            .filter_map(move |(address, block)| Some((address.strip_prefix(&prefix)?.to_owned(), block)))
    }

    /// The value of a `local`.
    pub(crate) fn local(&self, name: &str) -> Value {
        let local = self.blocks("locals").find_map(|block| block.body.get_attribute(name));
        self.value(&local.unwrap_or_else(|| panic!("no local.{name}")).value)
    }

    fn blocks(&self, kind: &str) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.has_ident(kind))
    }

    /// The value of a variable, if its default or its limits say it.
    fn variable(&self, name: &str, block: &Block, variables: Variables) -> Option<Value> {
        let default = self.value(&block.body.get_attribute("default")?.value);
        let limit = |operator| {
            let conditions =
                block.body.get_blocks("validation").flat_map(|inner| inner.body.get_attribute("condition"));
            let mut limits = conditions.flat_map(|condition| limit(&condition.value, &format!("var.{name}"), operator));
            limits.next().and_then(|limit| self.evaluate(limit))
        };
        match variables {
            Variables::Most if default.is_null() => Some("set".into()),
            Variables::Least if default.is_number() => limit(BinaryOperator::GreaterEq),
            Variables::Most if default.is_number() => limit(BinaryOperator::LessEq),
            Variables::Default | Variables::Least | Variables::Most => Some(default),
        }
    }

    fn contents(&self, body: &Body) -> Value {
        let mut contents = Map::new();
        for attribute in body.attributes() {
            contents.insert(attribute.key.to_string(), self.value(&attribute.value));
        }
        for block in body.blocks() {
            let list = contents.entry(block.ident.as_str()).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut()
                .expect("a block and an attribute have different names")
                .push(self.contents(&block.body));
        }
        Value::Object(contents)
    }

    /// The value of an expression. One that only Terraform can evaluate, an ARN for example, stays as it is written.
    fn value(&self, expression: &Expression) -> Value {
        self.evaluate(expression).unwrap_or_else(|| expression.to_string().trim().into())
    }

    fn evaluate(&self, expression: &Expression) -> Option<Value> {
        Some(match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(flag) => (**flag).into(),
            Expression::Number(number) => number.as_i64()?.into(),
            Expression::String(text) => text.as_str().into(),
            Expression::Array(elements) => elements.iter().map(|element| self.value(element)).collect(),
            Expression::Object(members) => self.object(members),
            Expression::StringTemplate(template) => {
                let part = |element: &Element| match element {
                    Element::Literal(text) => Some(text.to_string()),
                    Element::Interpolation(inner) => Some(self.evaluate(&inner.expr)?.as_str()?.to_owned()),
                    Element::Directive(_) => None,
                };
                Value::String(template.iter().map(part).collect::<Option<_>>()?)
            }
            Expression::UnaryOp(operation) if *operation.operator == UnaryOperator::Neg => {
                (-self.evaluate(&operation.expr)?.as_i64()?).into()
            }
            Expression::BinaryOp(operation) => {
                let (left, right) = (self.evaluate(&operation.lhs_expr)?, self.evaluate(&operation.rhs_expr)?);
                match *operation.operator {
                    BinaryOperator::Mul => (left.as_i64()? * right.as_i64()?).into(),
                    BinaryOperator::Eq => (left == right).into(),
                    _ => return None,
                }
            }
            Expression::Conditional(conditional) => match self.evaluate(&conditional.cond_expr)?.as_bool()? {
                true => self.evaluate(&conditional.true_expr)?,
                false => self.evaluate(&conditional.false_expr)?,
            },
            Expression::FuncCall(call) => match (call.name.name.as_str(), call.args.get(0), call.args.get(1)) {
                // Stay values, so that they can be compared as values.
                ("jsonencode" | "tostring", Some(argument), None) => self.value(argument),
                ("join", Some(separator), Some(parts)) => {
                    let (separator, parts) = (self.evaluate(separator)?, self.evaluate(parts)?);
                    let parts: Option<Vec<&str>> = parts.as_array()?.iter().map(Value::as_str).collect();
                    parts?.join(separator.as_str()?).into()
                }
                _ => return None,
            },
            Expression::Traversal(_) => {
                let path = expression.to_string();
                match path.trim().split_once('.')? {
                    ("var", name) => self.variables.get(name)?.clone(),
                    ("local", name) => self.local(name),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn object(&self, members: &Object) -> Value {
        let key = |key: &ObjectKey| match key {
            ObjectKey::Ident(name) => name.to_string(),
            ObjectKey::Expression(name) => name.as_str().expect("a plain key").to_owned(),
        };
        Value::Object(members.iter().map(|(name, member)| (key(name), self.value(member.expr()))).collect())
    }
}

/// What a condition compares a variable with.
fn limit<'e>(condition: &'e Expression, variable: &str, operator: BinaryOperator) -> Option<&'e Expression> {
    let Expression::BinaryOp(operation) = condition else { return None };
    if *operation.operator == BinaryOperator::And {
        let left = limit(&operation.lhs_expr, variable, operator);
        return left.or_else(|| limit(&operation.rhs_expr, variable, operator));
    }
    let is_it = *operation.operator == operator && operation.lhs_expr.to_string().trim() == variable;
    is_it.then_some(&operation.rhs_expr)
}
