#include "transaction.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>

namespace {

std::atomic<int> running_threads{0};
std::atomic<int> abandoned_threads{0};

bool IsPrompt(int style) { return style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON; }

}  // namespace

Transaction::Transaction(TransactionOptions options, Notify notify)
    : options_(std::move(options)), notify_(std::move(notify)) {}

int Transaction::running() { return running_threads; }
int Transaction::abandoned() { return abandoned_threads; }

int Transaction::Start() {
  auto* self = new std::shared_ptr<Transaction>(shared_from_this());
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // Signals are for the main thread; a module must not see its system calls interrupted by them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  running_threads++;
  int error = pthread_create(&thread, &attributes, ThreadMain, self);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    running_threads--;
    delete self;
  }
  return error;
}

void* Transaction::ThreadMain(void* pointer) {
  std::unique_ptr<std::shared_ptr<Transaction>> self(static_cast<std::shared_ptr<Transaction>*>(pointer));
  (*self)->Finish((*self)->Run());
  return nullptr;
}

void Transaction::Finish(PamOutcome outcome) {
  std::lock_guard<std::mutex> lock(mutex_);
  // Counted before the outcome is told: whoever learns it sees the thread gone.
  running_threads--;
  if (abandoned_) {
    abandoned_threads--;
    return;
  }
  finished_ = true;
  auto event = std::make_unique<PamEvent>();
  event->outcome = std::make_unique<PamOutcome>(std::move(outcome));
  notify_(std::move(event));
}

PamOutcome Transaction::Run() {
  const pam_conv conversation = {Converse, this};
  pam_handle_t* handle = nullptr;
  const char* confdir = options_.confdir.empty() ? nullptr : options_.confdir.c_str();
  int code =
      pam_start_confdir(options_.service.c_str(), options_.user.c_str(), &conversation, confdir, &handle);
  const char* stage = code == PAM_SUCCESS ? RunStages(handle, &code) : "start";
  PamOutcome outcome = {stage, code, pam_strerror(handle, code), "", {}};
  if (code == PAM_SUCCESS) {
    const void* user = nullptr;
    pam_get_item(handle, PAM_USER, &user);
    outcome.user = user != nullptr ? static_cast<const char*>(user) : options_.user;
    outcome.groups = unix_groups::GroupsOf(outcome.user);
  }
  if (handle != nullptr) pam_end(handle, code);
  return outcome;
}

// Returns the stage that set `code`.
const char* Transaction::RunStages(pam_handle_t* handle, int* code) {
  void (*delay)(int, unsigned, void*) = FailDelay;
  if ((*code = pam_set_item(handle, PAM_RHOST, options_.remote_host.c_str())) != PAM_SUCCESS ||
      (*code = pam_set_item(handle, PAM_TTY, options_.tty.c_str())) != PAM_SUCCESS ||
      (*code = pam_set_item(handle, PAM_FAIL_DELAY, reinterpret_cast<const void*>(delay))) != PAM_SUCCESS) {
    return "start";
  }
  *code = pam_authenticate(handle, 0);
  if (*code != PAM_SUCCESS) return "authenticate";
  *code = pam_acct_mgmt(handle, 0);
  if (*code != PAM_NEW_AUTHTOK_REQD) return "account";
  *code = pam_chauthtok(handle, PAM_CHANGE_EXPIRED_AUTHTOK);
  return "password";
}

// static
int Transaction::Converse(int count, const pam_message** messages, pam_response** responses, void* self) {
  return static_cast<Transaction*>(self)->Ask(count, messages, responses);
}

// The pause after a failure. It must not outlast an owner that has gone: those threads are few. static
void Transaction::FailDelay(int, unsigned microseconds, void* pointer) {
  auto* self = static_cast<Transaction*>(pointer);
  std::unique_lock<std::mutex> lock(self->mutex_);
  self->changed_.wait_for(lock, std::chrono::microseconds(microseconds), [self] { return self->abandoned_; });
}

int Transaction::Ask(int count, const pam_message** messages, pam_response** responses) {
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  auto event = std::make_unique<PamEvent>();
  size_t prompts = 0;
  for (int i = 0; i < count; i++) {
    const pam_message& message = *messages[i];
    bool prompt = IsPrompt(message.msg_style);
    if (!prompt && message.msg_style != PAM_TEXT_INFO && message.msg_style != PAM_ERROR_MSG) return PAM_CONV_ERR;
    if (prompt) prompts++;
    event->messages.push_back({message.msg_style, message.msg != nullptr ? message.msg : ""});
  }
  auto* replies = static_cast<pam_response*>(calloc(count, sizeof(pam_response)));
  if (replies == nullptr) return PAM_BUF_ERR;

  std::unique_lock<std::mutex> lock(mutex_);
  expected_ = prompts;
  if (!abandoned_) notify_(std::move(event));
  if (!AwaitAnswers(prompts, &lock)) {
    free(replies);
    return PAM_CONV_ERR;
  }
  size_t next = 0;
  for (int i = 0; i < count; i++) {
    if (IsPrompt(messages[i]->msg_style)) replies[i].resp = answers_[next++].release();
  }
  answers_.clear();
  *responses = replies;
  return PAM_SUCCESS;
}

// false: there is nobody to answer. What was answered is wiped then.
bool Transaction::AwaitAnswers(size_t prompts, std::unique_lock<std::mutex>* lock) {
  changed_.wait(*lock, [&] { return abandoned_ || answers_.size() == prompts; });
  if (!abandoned_) return true;
  answers_.clear();
  return false;
}

bool Transaction::Answer(Secret answer) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (abandoned_ || answers_.size() >= expected_) return false;
  answers_.push_back(std::move(answer));
  if (answers_.size() == expected_) {
    expected_ = 0;
    changed_.notify_all();
  }
  return true;
}

bool Transaction::Abandon() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (abandoned_ || finished_) return false;
  abandoned_ = true;
  abandoned_threads++;
  changed_.notify_all();
  return true;
}
