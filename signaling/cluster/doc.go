// Package cluster lets several nodes serve the same rooms: it implements
// [signaling.Cluster] with NATS.
//
// Rooms are keys of a JetStream key-value bucket (rooms.go), whose revisions decide
// between two that change a room at the same time. What happens to rooms is heard by watching the bucket
// (watch.go). The nodes keep leases in a second bucket, which say that
// they live, what their relay's URLs are and how busy they are (lease.go). Requests
// from one node to another are NATS requests on a subject of the node (call.go).
//
// NATS decides what is true: when its servers have no majority nothing can be changed, and
// signaling.ErrUnavailable says so.
package cluster
