//! What the campaign applies: one of three shapes of resources, and random edits of it.

use crate::campaign::dice::Dice;
use cloudtik_core::{Address, Attrs, Declaration, Scope, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All on one root, launched together.
    Wide,
    /// Each on the one a tenth of its number before it.
    Tree,
    /// Each on five of the layer before.
    Layers,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Wide, Shape::Tree, Shape::Layers];
}

/// Objects in a layer: twenty layers are four hundred objects.
const LAYER: usize = 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub shape: Shape,
    pub objects: usize,
    /// Edits by object: a new image replaces it and all that is built on it, a new size changes it in place.
    images: BTreeMap<usize, u32>,
    sizes: BTreeMap<usize, u32>,
}

pub fn scope() -> Scope {
    Scope::cluster("campaign", "c")
}

impl Document {
    pub fn new(shape: Shape, objects: usize) -> Self {
        Document { shape, objects, images: BTreeMap::new(), sizes: BTreeMap::new() }
    }

    /// Nothing is declared.
    pub fn emptied(&self) -> Self {
        Document::new(self.shape, 0)
    }

    /// Of a tree of five: one replaced before and one after its successor is made, one changed in place, one dropped.
    pub fn changed(&self) -> Self {
        let mut next = self.clone();
        next.images = BTreeMap::from([(2, 1), (3, 1)]);
        next.sizes = BTreeMap::from([(1, 1)]);
        next.objects -= 1;
        next
    }

    /// One random change, and its name.
    pub fn edited(&self, dice: &mut Dice, most: usize) -> (Self, &'static str) {
        let mut next = self.clone();
        let some = |dice: &mut Dice| (1 + dice.below(9)) as usize;
        match dice.below(4) {
            0 if self.objects < most => {
                next.objects = (self.objects + some(dice) * most / 20).min(most);
                (next, "grow")
            }
            1 if self.objects > most / 4 => {
                next.objects = self.objects - some(dice) * self.objects / 20 - 1;
                (next, "shrink")
            }
            2 => {
                for _ in 0..some(dice) {
                    *next.images.entry(dice.below(self.objects as u64) as usize).or_default() += 1;
                }
                (next, "replace")
            }
            _ => {
                for _ in 0..some(dice) * 10 {
                    *next.sizes.entry(dice.below(self.objects as u64) as usize).or_default() += 1;
                }
                (next, "edit")
            }
        }
    }

    pub fn declarations(&self) -> Vec<Declaration> {
        (0..self.objects).map(|i| self.declaration(i)).collect()
    }

    /// What each object is built on.
    pub fn edges(&self) -> Vec<Vec<usize>> {
        (0..self.objects).map(|i| self.uses(i)).collect()
    }

    fn declaration(&self, i: usize) -> Declaration {
        let edit = |edits: &BTreeMap<usize, u32>| edits.get(&i).copied().unwrap_or(0).into();
        let uses = self.uses(i).into_iter().map(|on| Value::reference(&self.address(on), "id"));
        let attributes = Attrs::from([
            ("image".into(), Value::Int(edit(&self.images))),
            ("size".into(), Value::Int(edit(&self.sizes))),
            ("uses".into(), Value::List(uses.collect())),
        ]);
        Declaration::new(self.address(i), &super::client::NAME.into(), attributes)
    }

    fn uses(&self, i: usize) -> Vec<usize> {
        match self.shape {
            _ if i == 0 => Vec::new(),
            Shape::Wide => vec![0],
            Shape::Tree => vec![(i - 1) / 10],
            Shape::Layers if i < LAYER => Vec::new(),
            Shape::Layers => {
                let before = (i / LAYER - 1) * LAYER;
                (0..5).map(|d| before + (i * 7 + d * 13) % LAYER).collect()
            }
        }
    }

    /// Members of a wide document are launched together; every seventh of the others is replaced by one made before it goes.
    fn address(&self, i: usize) -> Address {
        let kind = match self.shape {
            Shape::Wide if i > 0 => "unit",
            Shape::Tree | Shape::Layers if i % 7 == 3 => "gate",
            _ => "thing",
        };
        Address::new(scope(), kind, &format!("o[{i}]"))
    }
}
