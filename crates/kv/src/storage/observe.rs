//! Who is told when a stored object changes.
//!
//! Every change of an object that lies here is made by [`crate::storage::objects::Core::commit`]. What
//! follows from a change, such as the entries of its indexes, implements [`Observer`] and is named in
//! [`crate::storage::objects::Observers`]: nothing else has to be touched.

use mapring_engine::{IndexChange, StoreKey};
use mapring_ring::Partition;
use mapring_types::{Object, Record};

/// A change of an object in one vnode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) vnode: Partition,
    pub(crate) place: &'a StoreKey,
    /// The object as it is to be, and its record; `None` where it is removed.
    pub(crate) after: Option<(&'a Object, &'a Record)>,
    pub(crate) cause: Cause,
}

/// Why an object changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A write that this node coordinates, or what it has learnt beside any write: nobody else sees to
    /// it that the owner of the vnode has it.
    Own,
    /// Part of a write that another node coordinates.
    Replica,
    /// It was proven to be deleted, or is let go of.
    Removal,
}

impl Cause {
    /// The cause of a merge that belongs to the write of another node, or to none.
    pub(crate) fn of_merge(is_part_of_write: bool) -> Self {
        if is_part_of_write { Self::Replica } else { Self::Own }
    }
}

/// What the engine writes together with a record.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) indexes: IndexChange,
}

/// Is told of every change of an object, in three steps under the object's lock, so that nothing of
/// the object need be copied.
pub(crate) trait Observer {
    /// What it keeps of an object until that has changed.
    type Before;

    /// Looks at the object before the change; at one without values where there is none.
    fn before(&self, object: &Object) -> Self::Before;

    /// Adds what is to be written together with the change.
    fn write(&self, before: Self::Before, change: &Change<'_>, batch: &mut Batch);

    /// Takes note that the change was made. It may not be durable yet.
    fn done(&self, change: &Change<'_>);
}

/// Both are told.
impl<A: Observer, B: Observer> Observer for (A, B) {
    type Before = (A::Before, B::Before);

    fn before(&self, object: &Object) -> Self::Before {
        (self.0.before(object), self.1.before(object))
    }

    fn write(&self, before: Self::Before, change: &Change<'_>, batch: &mut Batch) {
        self.0.write(before.0, change, batch);
        self.1.write(before.1, change, batch);
    }

    fn done(&self, change: &Change<'_>) {
        self.0.done(change);
        self.1.done(change);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use mapring_types::VersionVector;
    use mapring_types::{ActorId, BucketId, Dot, IndexValue, Metadata, ObjectId, Sibling};

    use super::*;
    use crate::storage::indexes::Indexes;

    /// Writes down what it is told.
    #[derive(Default)]
    struct Told(RefCell<Vec<String>>);

    impl Observer for Told {
        type Before = usize;

        fn before(&self, object: &Object) -> usize {
            object.siblings.len()
        }

        fn write(&self, before: usize, change: &Change<'_>, _: &mut Batch) {
            let after = change.after.map(|(object, _)| object.siblings.len());
            self.0.borrow_mut().push(format!("{before} -> {after:?}"));
        }

        fn done(&self, change: &Change<'_>) {
            self.0.borrow_mut().push(format!("{:?}", change.cause));
        }
    }

    fn entry(field: &str) -> (String, IndexValue) {
        (field.to_owned(), IndexValue::Bin("x".into()))
    }

    fn object(counter: u64, fields: &[&str]) -> Object {
        let indexes = fields.iter().map(|field| entry(field)).collect();
        let (dot, metadata) =
            (Dot { actor: ActorId(1), counter }, Metadata { indexes, ..Metadata::default() });
        let mut object = Object::default();
        let (last_modified, body) = (counter, Bytes::new());
        let sibling = Sibling { dot, last_modified, deleted: false, metadata, body };
        object.update(&VersionVector::new(), sibling);
        object
    }

    #[test]
    fn all_observers_are_told_of_what_was_and_of_what_is() {
        let observers = (Indexes, Told::default());
        let place = StoreKey { home: 7, id: ObjectId::new(BucketId::untyped("b"), "k") };
        let change = |before: &Object, after: Option<&Object>, cause| {
            let record = after.map(Record::encode);
            let (vnode, place) = (Partition(3), &place);
            let change = Change { vnode, place, after: after.zip(record.as_ref()), cause };
            let mut batch = Batch::default();
            observers.write(observers.before(before), &change, &mut batch);
            observers.done(&change);
            batch.indexes
        };
        let (first, second) = (object(1, &["a_bin", "b_bin"]), object(2, &["b_bin", "c_bin"]));
        let indexes = change(&Object::default(), Some(&first), Cause::Own);
        assert_eq!((indexes.add.len(), indexes.remove.len()), (2, 0));
        let indexes = change(&first, Some(&second), Cause::Replica);
        assert_eq!((indexes.add, indexes.remove), (vec![entry("c_bin")], vec![entry("a_bin")]));
        let indexes = change(&second, None, Cause::Removal);
        assert_eq!(indexes.remove, [entry("b_bin"), entry("c_bin")]);
        let told = ["0 -> Some(1)", "Own", "1 -> Some(1)", "Replica", "1 -> None", "Removal"];
        assert_eq!(*observers.1.0.borrow(), told);
    }
}
