//! The StackGres custom resource definitions, written from their documented facts, in two generations. (being written)
