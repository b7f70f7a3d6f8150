// One PAM transaction on a thread of its own: authentication, account check, change of an expired password.
//
// Modules block as long as they like. Nobody waits for them: an owner that has lost patience abandons the transaction,
// whose thread then ends by itself when its module returns, without telling anybody.
#pragma once

#include <security/pam_appl.h>
#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "secret.h"
#include "unix_groups.h"

struct TransactionOptions {
  std::string service;
  std::string user;
  std::string remote_host;
  std::string tty;
  // Directory of service files; empty: the system's.
  std::string confdir;
};

// A message of a module; `style` as in pam_conv(3).
struct PamMessage {
  int style;
  std::string text;
};

struct PamOutcome {
  // The function that gave `code`: start, authenticate, account, password.
  const char* stage;
  int code;
  // pam_strerror(3) of the code.
  std::string text;
  // After a success: PAM_USER, and the Unix groups, the primary one first.
  std::string user;
  std::vector<UnixGroup> groups;
};

// Either the messages of one call of the conversation function, or the outcome.
struct PamEvent {
  std::vector<PamMessage> messages;
  std::unique_ptr<PamOutcome> outcome;
};

class Transaction : public std::enable_shared_from_this<Transaction> {
 public:
  // Called on the transaction's thread; must not block. The event with the outcome is the last one.
  using Notify = std::function<void(std::unique_ptr<PamEvent>)>;

  Transaction(TransactionOptions options, Notify notify);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Starts the thread. Returns an errno, 0 for success.
  int Start();

  // The answer to the next prompt of the last messages. false: none is expected.
  bool Answer(Secret answer);

  // From its return on nothing is notified; a module that waits for an answer gets an error. Returns false if the
  // outcome was notified before.
  bool Abandon();

  // Threads that run, and those of them whose transaction was abandoned.
  static int running();
  static int abandoned();

 private:
  static void* ThreadMain(void* self);
  static int Converse(int count, const pam_message** messages, pam_response** responses, void* self);
  static void FailDelay(int result, unsigned microseconds, void* self);

  PamOutcome Run();
  const char* RunStages(pam_handle_t* handle, int* code);
  void Finish(PamOutcome outcome);
  int Ask(int count, const pam_message** messages, pam_response** responses);
  bool AwaitAnswers(size_t prompts, std::unique_lock<std::mutex>* lock);

  const TransactionOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // The rest is guarded by mutex_.
  Notify notify_;
  bool abandoned_ = false;
  bool finished_ = false;
  size_t expected_ = 0;
  std::vector<Secret> answers_;
};
