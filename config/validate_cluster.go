package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// minClusterSecret is how long [cluster] secret is at least: whoever guesses it takes over
// sessions.
const minClusterSecret = 32

// bucketName is what NATS takes in names of buckets and in subjects.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// cluster checks what nodes need to be one service. Without nats_url nothing of it counts.
func (f *findings) cluster(c Cluster, turn Turn) {
	f.secret("cluster.secret", c.Secret)
	f.secret("cluster.nats_password", c.NATSPassword)
	if !slices.Contains([]int{1, 3, 5}, c.Replicas) {
		f.add(fmt.Sprintf("%d is not 1, 3 or 5", c.Replicas), "1 for one NATS server, 3 for three", "cluster.replicas")
	}
	if !bucketName.MatchString(c.Bucket) {
		f.add(quote(c.Bucket)+` is not a name of up to 32 letters, digits, "-" and "_"`, "", "cluster.bucket")
	}
	if !c.On() {
		return
	}
	f.natsURLs(c.NATSURL)
	const shared = "make one for all nodes with: openssl rand -hex 32"
	switch {
	case c.Secret == "":
		f.add("nats_url without secret: members move from node to node with keys that are made of it", shared, "cluster.nats_url", "cluster.secret")
	case len(c.Secret) < minClusterSecret:
		f.add(fmt.Sprintf("has fewer than %d characters", minClusterSecret), shared, "cluster.secret")
	}
	if turn.Enabled && turn.StaticAuthSecret == "" {
		f.add("nats_url without [turn] static_auth_secret: each node's relay takes the credentials that another node has made", shared,
			"cluster.nats_url", "turn.static_auth_secret")
	}
	switch {
	case c.NATSCredentials != "" && c.NATSUser != "":
		f.add("nats_credentials and nats_user are both set", "set the one that NATS asks for", "cluster.nats_user", "cluster.nats_credentials")
	case c.NATSUser == "" && c.NATSPassword != "":
		f.add("nats_password is set without nats_user", "", "cluster.nats_user", "cluster.nats_password")
	}
}

// natsURLs checks a list of URLs. A value is shown only when it holds no password.
func (f *findings) natsURLs(list string) {
	const key = "cluster.nats_url"
	const wanted = `the URL of a NATS server such as "nats://10.0.0.5:4222", or several with commas between`
	if strings.Contains(list, "@") {
		f.add("holds a user name or password, must be "+wanted, "write them as nats_user and nats_password", key)
		return
	}
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		u, err := url.Parse(text)
		known := err == nil && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)
		if known && u.Hostname() != "" && validHost(u.Hostname()) && validPort(u) && u.RawQuery == "" && (u.Path == "" || u.Path == "/") {
			continue
		}
		hint := ""
		if host, _, _ := strings.Cut(text, ":"); !strings.Contains(text, "://") && host != "" && validHost(host) {
			hint = fmt.Sprintf("did you mean %s?", quote("nats://"+text))
		}
		f.add(quote(text)+" is not "+wanted, hint, key)
	}
}
