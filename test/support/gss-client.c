/*
 * The initiating side of GSSAPI for tests: gss-client SERVICE@HOST [dce] [krb5]
 * Writes a token in hexadecimal as a line, reads the answer as such a line (empty: none), and so on until it is done.
 *   dce     Kerberos with three legs
 *   krb5    Kerberos by itself instead of inside SPNEGO
 * The last line is "done" or "failed WHY".
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(OM_uint32 code, int type)
{
	OM_uint32 minor, more = 0;
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_display_status(&minor, code, type, GSS_C_NO_OID, &more, &text);
	printf("failed %.*s\n", (int)text.length, (char *)text.value);
	return 1;
}

static void write_token(const gss_buffer_desc *token)
{
	for (size_t i = 0; i < token->length; i++) printf("%02x", ((unsigned char *)token->value)[i]);
	printf("\n");
	fflush(stdout);
}

static int read_token(gss_buffer_desc *token)
{
	static char line[65536];
	static unsigned char bytes[32768];
	if (!fgets(line, sizeof line, stdin)) return 0;
	token->value = bytes;
	token->length = strcspn(line, "\n") / 2;
	for (size_t i = 0; i < token->length; i++) {
		char pair[3] = {line[2 * i], line[2 * i + 1], 0};
		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return 1;
}

int main(int argc, char **argv)
{
	gss_OID_desc spnego = {6, "\x2b\x06\x01\x05\x05\x02"};
	gss_OID_desc kerberos = {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
	gss_OID mechanism = &spnego;
	OM_uint32 flags = GSS_C_MUTUAL_FLAG;
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "dce") == 0) flags |= GSS_C_DCE_STYLE;
		if (strcmp(argv[i], "krb5") == 0) mechanism = &kerberos;
	}
	gss_buffer_desc text = {strlen(argv[1]), argv[1]};
	gss_name_t service;
	gss_ctx_id_t context = GSS_C_NO_CONTEXT;
	gss_buffer_desc input = GSS_C_EMPTY_BUFFER, output = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &service);
	do {
		major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &context, service, mechanism, flags, 0,
		                             GSS_C_NO_CHANNEL_BINDINGS, &input, NULL, &output, NULL, NULL);
		if (GSS_ERROR(major)) return fail(minor ? minor : major, minor ? GSS_C_MECH_CODE : GSS_C_GSS_CODE);
		if (output.length > 0) write_token(&output);
		if (major & GSS_S_CONTINUE_NEEDED && !read_token(&input)) return 2;
	} while (major & GSS_S_CONTINUE_NEEDED);
	printf("done\n");
	return 0;
}
