/*
 * A PAM module for tests. Its arguments say what it does, in this order:
 *   ask=TEXT=ANSWER   asks (unseen), fails on another answer; may be repeated. `_` stands for a space.
 *   three             one call with an info text, a prompt that may be shown and one that may not: "left", "right"
 *   forever           asks until it gets an error
 *   hang=FIFO         makes FIFO.reached, blocks until somebody opens FIFO for writing
 *   items             an info text with PAM_RHOST, PAM_TTY, PAM_SERVICE and PAM_USER
 *   user=NAME         sets PAM_USER
 *   delay=USEC        asks for a pause after a failure
 *   account=CODE      what the account check returns; with a text for the user if it is no success
 *   hangaccount=FIFO  as hang, in the account check
 *   log=FILE          appends what is done with credentials and session, with the user and PAM_RHOST
 *   session=CODE      what the opening of a session returns
 *   hangsession=FIFO  as hang, in the opening of a session
 *   change            a change of the password asks for the new one twice
 */
#include <fcntl.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int converse(pam_handle_t *pamh, int count, const struct pam_message *messages, struct pam_response **replies)
{
	const struct pam_conv *conv = NULL;
	const struct pam_message *pointers[8];
	pam_get_item(pamh, PAM_CONV, (const void **)&conv);
	for (int i = 0; i < count; i++) pointers[i] = &messages[i];
	*replies = NULL;
	return conv->conv(count, pointers, replies, conv->appdata_ptr);
}

static int tell(pam_handle_t *pamh, int style, const char *text)
{
	struct pam_message message = {style, text};
	struct pam_response *reply;
	int code = converse(pamh, 1, &message, &reply);
	free(reply);
	return code;
}

/* The answer in memory of its own, NULL without one. */
static char *ask(pam_handle_t *pamh, const char *text)
{
	struct pam_message message = {PAM_PROMPT_ECHO_OFF, text};
	struct pam_response *reply;
	if (converse(pamh, 1, &message, &reply) != PAM_SUCCESS) return NULL;
	char *answer = reply->resp;
	free(reply);
	return answer;
}

static int ask_for(pam_handle_t *pamh, const char *text, const char *expected)
{
	char *answer = ask(pamh, text);
	int code = answer && strcmp(answer, expected) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
	free(answer);
	return code;
}

static int ask_argument(pam_handle_t *pamh, const char *argument)
{
	char text[1024];
	snprintf(text, sizeof text, "%s", argument);
	char *expected = strchr(text, '=');
	*expected++ = 0;
	for (char *p = text; *p; p++) if (*p == '_') *p = ' ';
	return ask_for(pamh, text, expected);
}

static int three(pam_handle_t *pamh)
{
	const struct pam_message messages[] = {
		{PAM_TEXT_INFO, "Two halves, please."}, {PAM_PROMPT_ECHO_ON, "Left: "}, {PAM_PROMPT_ECHO_OFF, "Right: "}};
	struct pam_response *replies;
	if (converse(pamh, 3, messages, &replies) != PAM_SUCCESS) return PAM_CONV_ERR;
	int right = replies[0].resp == NULL && strcmp(replies[1].resp, "left") == 0 && strcmp(replies[2].resp, "right") == 0;
	free(replies[1].resp);
	free(replies[2].resp);
	free(replies);
	return right ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static int forever(pam_handle_t *pamh)
{
	for (char *answer; (answer = ask(pamh, "More: ")) != NULL; free(answer)) continue;
	return PAM_CONV_ERR;
}

static int hang(const char *fifo)
{
	char reached[512];
	snprintf(reached, sizeof reached, "%s.reached", fifo);
	close(open(reached, O_WRONLY | O_CREAT, 0600));
	close(open(fifo, O_RDONLY));
	return PAM_SUCCESS;
}

static int items(pam_handle_t *pamh)
{
	const char *values[4] = {0};
	const int names[4] = {PAM_RHOST, PAM_TTY, PAM_SERVICE, PAM_USER};
	for (int i = 0; i < 4; i++) pam_get_item(pamh, names[i], (const void **)&values[i]);
	char text[512];
	snprintf(text, sizeof text, "%s %s %s %s", values[0], values[1], values[2], values[3]);
	return tell(pamh, PAM_TEXT_INFO, text);
}

static const char *value(const char *argument, const char *name)
{
	size_t size = strlen(name);
	return strncmp(argument, name, size) == 0 ? argument + size : NULL;
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	int code = PAM_SUCCESS;
	for (int i = 0; i < argc && code == PAM_SUCCESS; i++) {
		const char *text;
		if ((text = value(argv[i], "ask="))) code = ask_argument(pamh, text);
		else if (strcmp(argv[i], "three") == 0) code = three(pamh);
		else if (strcmp(argv[i], "forever") == 0) code = forever(pamh);
		else if ((text = value(argv[i], "hang="))) code = hang(text);
		else if (strcmp(argv[i], "items") == 0) code = items(pamh);
		else if ((text = value(argv[i], "user="))) code = pam_set_item(pamh, PAM_USER, text);
		else if ((text = value(argv[i], "delay="))) code = pam_fail_delay(pamh, atoi(text));
	}
	return code;
}

static void note(pam_handle_t *pamh, int argc, const char **argv, const char *what)
{
	const char *user = NULL, *host = NULL, *path;
	pam_get_item(pamh, PAM_USER, (const void **)&user);
	pam_get_item(pamh, PAM_RHOST, (const void **)&host);
	for (int i = 0; i < argc; i++) {
		if (!(path = value(argv[i], "log="))) continue;
		FILE *file = fopen(path, "a");
		if (!file) continue;
		fprintf(file, "%s %s %s\n", what, user, host ? host : "");
		fclose(file);
	}
}

EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	note(pamh, argc, argv, flags & PAM_DELETE_CRED ? "delete" : "establish");
	return PAM_SUCCESS;
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	const char *text;
	int code = PAM_SUCCESS;
	for (int i = 0; i < argc; i++) {
		if ((text = value(argv[i], "hangsession="))) hang(text);
		else if ((text = value(argv[i], "session="))) code = atoi(text);
	}
	note(pamh, argc, argv, code == PAM_SUCCESS ? "open" : "refuse");
	return code;
}

EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	note(pamh, argc, argv, "close");
	return PAM_SUCCESS;
}

EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	for (int i = 0; i < argc; i++) {
		const char *fifo = value(argv[i], "hangaccount=");
		if (fifo) hang(fifo);
		const char *code = value(argv[i], "account=");
		if (code && atoi(code) != PAM_SUCCESS) tell(pamh, PAM_ERROR_MSG, "The account says no.");
		if (code) return atoi(code);
	}
	return PAM_SUCCESS;
}

EXPORT int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	if (flags & PAM_PRELIM_CHECK) return PAM_SUCCESS;
	if (!(flags & PAM_CHANGE_EXPIRED_AUTHTOK)) return PAM_SYSTEM_ERR;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "change") != 0) continue;
		char *first = ask(pamh, "New password: ");
		if (!first) return PAM_AUTHTOK_ERR;
		int code = ask_for(pamh, "Retype new password: ", first);
		free(first);
		return code == PAM_SUCCESS ? PAM_SUCCESS : PAM_AUTHTOK_ERR;
	}
	return PAM_AUTHTOK_ERR;
}
