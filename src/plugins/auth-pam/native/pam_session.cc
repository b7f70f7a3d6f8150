// A program for one PAM session, so that what modules do to their process (groups, limits, keyrings, a hang) is done to
// none of the server's. It speaks on standard input and output only:
//
//   ocvpn_pam_session check|session SERVICE USER RHOST TTY [CONFDIR]
//
// check: the account phase, and the end. session: the account's credentials and the session, until standard input ends;
// then both are taken back. The first line of output is "ok", or "STAGE CODE TEXT" of what failed.

#include <errno.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

// Nobody is there to answer: texts are passed over, a question is an error.
int Converse(int count, const pam_message** messages, pam_response** responses, void*) {
  for (int i = 0; i < count; i++) {
    int style = messages[i]->msg_style;
    if (style != PAM_TEXT_INFO && style != PAM_ERROR_MSG) return PAM_CONV_ERR;
  }
  *responses = static_cast<pam_response*>(calloc(count, sizeof(pam_response)));
  return *responses != nullptr ? PAM_SUCCESS : PAM_BUF_ERR;
}

int Tell(pam_handle_t* handle, const char* stage, int code) {
  if (code == PAM_SUCCESS) {
    puts("ok");
  } else {
    printf("%s %d %s\n", stage, code, pam_strerror(handle, code));
  }
  fflush(stdout);
  return code == PAM_SUCCESS ? 0 : 1;
}

void AwaitEndOfInput() {
  char byte;
  ssize_t got;
  do {
    got = read(STDIN_FILENO, &byte, 1);
  } while (got > 0 || (got < 0 && errno == EINTR));
}

int RunSession(pam_handle_t* handle) {
  int code = pam_setcred(handle, PAM_ESTABLISH_CRED | PAM_SILENT);
  if (code != PAM_SUCCESS) return Tell(handle, "setcred", code);
  code = pam_open_session(handle, PAM_SILENT);
  int status = Tell(handle, "open_session", code);
  if (status == 0) {
    AwaitEndOfInput();
    code = pam_close_session(handle, PAM_SILENT);
    status = code == PAM_SUCCESS ? 0 : 1;
  }
  pam_setcred(handle, PAM_DELETE_CRED | PAM_SILENT);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const pam_conv conversation = {Converse, nullptr};
  pam_handle_t* handle = nullptr;
  const char* confdir = argc > 6 ? argv[6] : nullptr;
  int code = pam_start_confdir(argv[2], argv[3], &conversation, confdir, &handle);
  if (code == PAM_SUCCESS) code = pam_set_item(handle, PAM_RHOST, argv[4]);
  if (code == PAM_SUCCESS) code = pam_set_item(handle, PAM_TTY, argv[5]);
  if (code != PAM_SUCCESS) return Tell(handle, "start", code);
  int status = strcmp(argv[1], "session") == 0 ? RunSession(handle)
                                               : Tell(handle, "account", pam_acct_mgmt(handle, PAM_SILENT));
  pam_end(handle, code);
  return status;
}
