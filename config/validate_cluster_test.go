package config

import (
	"strings"
	"testing"
)

const aCluster = "[turn]\nstatic_auth_secret = 'x'\n[cluster]\nsecret = '0123456789abcdef0123456789abcdef'\n"

func TestMistakesAboutTheClusterAreToldWithPlaceAndCure(t *testing.T) {
	const wanted = `the URL of a NATS server such as "nats://10.0.0.5:4222", or several with commas between`
	for _, tt := range []struct{ name, text, want string }{
		{
			"secrets are missing", "[cluster]\nnats_url = 'nats://10.0.0.5'",
			"turnserver.toml:2:12: cluster.nats_url: nats_url without [turn] static_auth_secret: each node's relay takes the credentials that another node has made; make one for all nodes with: openssl rand -hex 32\n" +
				"turnserver.toml:2:12: cluster.nats_url: nats_url without secret: members move from node to node with keys that are made of it; make one for all nodes with: openssl rand -hex 32",
		},
		{
			"a short secret", "[cluster]\nnats_url = 'nats://10.0.0.5'\nsecret = 'guess me'\n[turn]\nenabled = false",
			"turnserver.toml:3:10: cluster.secret: has fewer than 32 characters; make one for all nodes with: openssl rand -hex 32",
		},
		{
			"a printed secret", "[cluster]\nsecret = '[redacted]'",
			`turnserver.toml:2:10: cluster.secret: "[redacted]" only stands for the secret in the output of duet config; write the secret itself`,
		},
		{
			"no scheme", aCluster + "nats_url = '10.0.0.5:4222'",
			`turnserver.toml:5:12: cluster.nats_url: "10.0.0.5:4222" is not ` + wanted + `; did you mean "nats://10.0.0.5:4222"?`,
		},
		{
			"another scheme", aCluster + "nats_url = 'nats://10.0.0.5, http://10.0.0.6:4222'",
			`turnserver.toml:5:12: cluster.nats_url: "http://10.0.0.6:4222" is not ` + wanted,
		},
		{
			"a password in the URL", aCluster + "nats_url = 'nats://ann:secret@10.0.0.5'",
			`turnserver.toml:5:12: cluster.nats_url: holds a user name or password, must be ` + wanted + `; write them as nats_user and nats_password`,
		},
		{
			"two ways in", aCluster + "nats_url = 'tls://nats.example.org'\nnats_credentials = 'c'\nnats_user = 'ann'",
			`turnserver.toml:7:13: cluster.nats_user: nats_credentials and nats_user are both set; set the one that NATS asks for`,
		},
		{
			"a password of nobody", aCluster + "nats_url = 'wss://nats.example.org:443/'\nnats_password = 'p'",
			`turnserver.toml:6:17: cluster.nats_password: nats_password is set without nats_user`,
		},
		{
			"two replicas", "[cluster]\nreplicas = 2",
			`turnserver.toml:2:12: cluster.replicas: 2 is not 1, 3 or 5; 1 for one NATS server, 3 for three`,
		},
		{
			"a bucket that is a subject", "[cluster]\nbucket = 'a.b'",
			`turnserver.toml:2:10: cluster.bucket: "a.b" is not a name of up to 32 letters, digits, "-" and "_"`,
		},
		{"a cluster", aCluster + "nats_url = 'nats://10.0.0.5:4222,nats://[2001:db8::1]:4222,tls://nats.example.org'", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadText(tt.text, nil, nil)
			got := ""
			if err != nil {
				got = strings.TrimSpace(err.Error())
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
