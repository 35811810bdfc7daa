package tracer

// The names of numbers that this implementation does not use, but peers do.
var (
	versions = map[uint64]string{
		0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3",
		0xfeff: "DTLS 1.0", 0xfefd: "DTLS 1.2", 0xfefc: "DTLS 1.3",
	}
	otherSuites = map[uint64]string{
		0x00ff: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x5600: "TLS_FALLBACK_SCSV",
		0x002f: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
		0x003c: "TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003d: "TLS_RSA_WITH_AES_256_CBC_SHA256",
		0x009c: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009d: "TLS_RSA_WITH_AES_256_GCM_SHA384",
		0x009e: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 0x009f: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
		0xccaa: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		0xc009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc00a: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		0xc013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xc014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
		0xc023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xc024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
		0xc027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xc028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
	}
	otherGroups = map[uint64]string{
		30: "X448", 31: "brainpoolP256r1tls13", 32: "brainpoolP384r1tls13", 33: "brainpoolP512r1tls13",
		256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
		512: "MLKEM512", 513: "MLKEM768", 514: "MLKEM1024", 4590: "curveSM2MLKEM768",
	}
	otherSchemes = map[uint64]string{
		0x0201: "rsa_pkcs1_sha1", 0x0203: "ecdsa_sha1", 0x0808: "ed448", 0x0809: "rsa_pss_pss_sha256",
		0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512", 0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87",
		0x081a: "ecdsa_brainpoolP256r1tls13_sha256", 0x081b: "ecdsa_brainpoolP384r1tls13_sha384",
		0x081c: "ecdsa_brainpoolP512r1tls13_sha512",
	}
	otherExtensions = map[uint64]string{
		22: "encrypt_then_mac", 34: "delegated_credential", 57: "quic_transport_parameters", 17613: "application_settings", 65037: "encrypted_client_hello",
	}

	statusTypes      = map[uint64]string{1: "ocsp", 2: "ocsp_multi"}
	compressions     = map[uint64]string{0: "null", 1: "DEFLATE"}
	curveTypes       = map[uint64]string{3: "named_curve"}
	pointFormats     = map[uint64]string{0: "uncompressed", 1: "ansiX962_compressed_prime", 2: "ansiX962_compressed_char2"}
	certificateTypes = map[uint64]string{0: "X509", 1: "OpenPGP", 2: "RawPublicKey"}
	pskModes         = map[uint64]string{0: "psk_ke", 1: "psk_dhe_ke"}
	updateRequests   = map[uint64]string{0: "update_not_requested", 1: "update_requested"}
	fragmentLengths  = map[uint64]string{1: "2^9", 2: "2^10", 3: "2^11", 4: "2^12"}

	compressionAlgorithms = map[uint64]string{1: "zlib", 2: "brotli", 3: "zstd"}

	cidUsages = map[uint64]string{0: "cid_immediate", 1: "cid_spare"}
)
