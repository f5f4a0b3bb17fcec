package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
)

// secure makes certificate, key and ports fit together, before settle has the last word.
func (m *coturnImport) secure() {
	if m.config.TLS.Cert != "" && m.config.TLS.Key != "" {
		m.takePair()
	}
	if m.config.TLS.On() {
		m.takeTLSPorts()
	}
	m.makeRoomForThePage()
}

// takePair decides whether the certificate holds.
func (m *coturnImport) takePair() {
	if off, ok := m.last("no-tls"); ok {
		m.dropPair("%s: %s switches TLS off", m.at(off.place))
		return
	}
	if s, ok := m.last("pkey-pwd"); ok {
		m.warn(s.place, "cert and pkey are left out, because Duet reads no encrypted key; decrypt it, for example with \"openssl pkey -in old.pem -out new.pem\", and write both into [tls], as cert and key")
		m.dropPair("%s: is of an encrypted key (%s)", m.at(s.place))
		return
	}
	for name, key := range map[string]string{"cert": "tls.cert", "pkey": "tls.key"} {
		s, _ := m.last(name)
		switch path := s.bare(); {
		case isTemplate(path):
			m.warn(s.place, "%s: looks like a template that nobody filled in", name)
		case !filepath.IsAbs(path):
			m.beside[key] = "coturn looked for it in its working directory, /etc and others, too; Duet looks in its working directory only."
		}
	}
}

// dropPair leaves certificate and key out; format takes the setting and why.
func (m *coturnImport) dropPair(format, why string) {
	m.config.TLS.Cert, m.config.TLS.Key = "", ""
	for name, key := range map[string]string{"cert": "tls.cert", "pkey": "tls.key"} {
		s, _ := m.last(name)
		m.remark(never, s.place, format, s, why)
		delete(m.from, key)
	}
}

// takeTLSPorts settles what port 443, which Duet shares between TURN and its page, meets
// in coturn's ports. Clients know those, so they stay.
func (m *coturnImport) takeTLSPorts() {
	turn := &m.config.Turn
	place := m.placeOf("turn.tls_listening_port", "tls.cert")
	if turn.TCP && turn.TLSListeningPort == turn.ListeningPort {
		turn.TCP = false
		m.beside["turn.tcp"] = fmt.Sprintf("TLS has TCP port %d; clients reach the relay by UDP and TLS there.", turn.ListeningPort)
		m.warn(place, "TLS and plain TCP cannot share port %d here: tcp = false, so that \"turn:\" with \"?transport=tcp\" reaches nothing", turn.ListeningPort)
	}
	host := ""
	if len(turn.ListeningIP) == 1 {
		host = turn.ListeningIP[0].String()
	}
	const shared = 443
	port := shared
	comment := "HTTPS and TURN over TLS, which get through most firewalls here. If another server has this port, choose another."
	switch {
	case turn.TLSListeningPort == shared:
		turn.TLSListeningPort = 0
		m.beside["turn.tls_listening_port"] = "Port 443, which serves TURN over TLS beside the page: see [tls] listen."
	case turn.TCP && turn.ListeningPort == shared:
		port = m.freePort(8443)
		comment = "HTTPS and TURN over TLS. They get through more firewalls at port 443, which plain TURN has here."
	}
	m.config.TLS.Listen = net.JoinHostPort(host, strconv.Itoa(port))
	m.beside["tls.listen"] = comment
}

// makeRoomForThePage moves the web page off a port that coturn had.
func (m *coturnImport) makeRoomForThePage() {
	page := listener{"http.listen", "", 8080}
	taken := slices.ContainsFunc(tcpListeners(m.config), func(l listener) bool { return l.key != page.key && l.clashes(page) })
	if !taken {
		return
	}
	port := m.freePort(page.port + 1)
	m.config.HTTP.Listen = fmt.Sprintf(":%d", port)
	m.beside["http.listen"] = fmt.Sprintf("Port %d, where Duet has its page unless told otherwise, is the relay's here.", page.port)
}

// freePort returns the first TCP port from one on that nothing is to listen on.
func (m *coturnImport) freePort(port int) int {
	for slices.ContainsFunc(tcpListeners(m.config), func(l listener) bool { return l.port == port }) {
		port++
	}
	return port
}

// placeOf returns where the first of the keys that is set comes from, or 0.
func (m *coturnImport) placeOf(keys ...string) int {
	for _, key := range keys {
		if from := m.from[key]; len(from) > 0 {
			return from[0]
		}
	}
	return 0
}
