package relay

// answerBinding answers a STUN Binding request (RFC 8489 section 6.3.1). It asks for
// no credential, as ICE agents show theirs to each other and not to us. FINGERPRINT
// is for those who send one; all else would only make the answer larger.
func (s *shard) answerBinding() {
	p := &s.pending
	if refusal := s.judgeDiscovery(); refusal != accepted {
		s.refuse(refusal)
		return
	}
	if drop := s.allow(p.settings.limits.bindings); drop != kept {
		s.ignore(drop)
		return
	}
	s.server.stats.bindings.Add(1)
	m := p.scratch.start(methodBinding|classSuccess, p.transaction)
	m = m.addAddress(attrXORMappedAddress, p.client)
	if s.square == nil {
		s.reply(m)
		return
	}
	s.discover(m)
}
