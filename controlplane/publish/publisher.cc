// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/publisher.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"

namespace sluice::publish {
namespace {

std::uint64_t elapsed_ms(base::Nanos since) {
  return (base::monotonic_now() - since) / base::kNanosPerMilli;
}

PublishReport failed(Outcome outcome, std::string message) {
  PublishReport report;
  report.outcome = outcome;
  report.message = std::move(message);
  return report;
}

bool has_source_in(const std::string& folder, const BuildResult& built) {
  return std::any_of(built.sources.begin(), built.sources.end(),
                     [&](const Source& source) { return source.path.starts_with(folder + "/"); });
}

}  // namespace

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kLive:
      return "live";
    case Outcome::kStaged:
      return "staged";
    case Outcome::kPending:
      return "pending";
    case Outcome::kInvalid:
    case Outcome::kRefused:
      return "refused";
    case Outcome::kTimeout:
      return "timeout";
    case Outcome::kNotFound:
      return "not_found";
    case Outcome::kFailed:
      return "failed";
  }
  return "failed";
}

int exit_status(Outcome outcome) {
  switch (outcome) {
    case Outcome::kLive:
    case Outcome::kStaged:
    case Outcome::kPending:
      return 0;
    case Outcome::kInvalid:
      return 3;
    case Outcome::kRefused:
      return 5;
    case Outcome::kTimeout:
      return 6;
    case Outcome::kNotFound:
    case Outcome::kFailed:
      return 1;
  }
  return 1;
}

Publisher::Publisher(Paths paths, Builder builder, PublishOptions options)
    : paths_(std::move(paths)),
      builder_(std::move(builder)),
      options_(std::move(options)),
      store_(paths_.state) {}

base::Status Publisher::open() {
  const std::lock_guard lock(mutex_);
  if (auto opened = store_.open(); !opened.ok()) return opened;
  auto control = ControlSegment::attach(paths_.shm);
  if (!control.ok()) return control.error();
  control_.emplace(std::move(control).value());
  auto switches = load_switches(paths_.state);
  if (!switches.ok()) return switches.error();
  switches_ = switches.value();
  apply_switches(switches_, control_->raw());
  tick();
  if (control_->announced() == 0) announce_stored();
  return base::ok_status();
}

/// Nothing is announced, after a reboot for one: says again what was live. A dataplane that already
/// runs it sees no difference.
void Publisher::announce_stored() {
  const auto live = store_.live();
  if (!live) return;
  const auto image = store_.image(*live);
  if (image.ok() && place_image(*live, image.value()).ok()) control_->announce(*live);
}

/// The dataplane started without the control segment that we had, and made one: that counts.
void Publisher::follow_control() {
  if (!control_->replaced()) return;
  auto control = ControlSegment::attach(paths_.shm);
  if (!control.ok()) return;
  control_.emplace(std::move(control).value());
  apply_switches(switches_, control_->raw());
  announce_stored();
}

std::string Publisher::out_of_reach() {
  const std::lock_guard lock(mutex_);
  if (dataplane() != nullptr) return {};
  const auto text = read_file(paths_.run + "/" + abi::kDataplanePidFile);
  const long pid = text.ok() ? std::strtol(text.value().c_str(), nullptr, 10) : 0;
  if (pid <= 0 || (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)) return {};
  const auto name = read_file("/proc/" + std::to_string(pid) + "/comm");
  if (name.ok() && name.value().find("sluice-datapla") == std::string::npos) return {};
  const auto attached = DataplaneView::attach(paths_.shm);
  if (attached.ok()) return {};
  return "process " + std::to_string(pid) +
         " enforces on, out of reach: " + attached.error().message + "; restart it";
}

DataplaneView* Publisher::dataplane() {
  if (view_ && view_->replaced()) view_.reset();
  if (!view_) {
    if (auto attached = DataplaneView::attach(paths_.shm); attached.ok()) {
      view_ = std::move(attached).value();
    }
  }
  if (view_ && view_->health() == DataplaneView::Health::kStopped) return nullptr;
  return view_.get();
}

BuildRequest Publisher::request_for(const std::string& policy) const {
  BuildRequest request;
  request.policy = policy.empty() ? paths_.policy : policy;
  request.cache_folder = paths_.state + "/cache";
  request.state = paths_.state;
  return request;
}

PublishReport Publisher::push(const std::string& policy, const std::string& who,
                              const std::string& kind, const std::string& from) {
  const std::lock_guard lock(publish_mutex_);
  BuildRequest request = request_for(policy);
  request.from = from;
  return build_and_publish(request, who, kind, false);
}

PublishReport Publisher::stage(const std::string& policy, const std::string& who) {
  const std::lock_guard lock(publish_mutex_);
  return build_and_publish(request_for(policy), who, "stage", true);
}

PublishReport Publisher::build_and_publish(const BuildRequest& request, const std::string& who,
                                           const std::string& kind, bool staged) {
  BuildRequest numbered = request;
  numbered.generation = store_.next_number();
  const base::Nanos started = base::monotonic_now();
  BuildResult built = builder_(numbered);
  PublishReport report;
  report.compile_ms = elapsed_ms(started);
  if (built.errors.empty() && !request.from.empty() && !has_source_in(request.from, built)) {
    built.errors.push_back({request.policy, 1, 1,
                            "reads nothing of " + request.from + ": add " + request.from +
                                "/current/*.conf to rules.include"});
  }
  if (!built.errors.empty() || built.image.size() < sizeof(abi::ImageHeader)) {
    report.outcome = Outcome::kInvalid;
    report.errors = std::move(built.errors);
    report.warnings = std::move(built.warnings);
    report.message = "errors in policy or rules; the running state is untouched";
    return report;
  }
  abi::ImageHeader header;
  std::memcpy(&header, built.image.data(), sizeof header);
  Manifest manifest;
  manifest.number = numbered.generation;
  manifest.kind = kind;
  manifest.time_ns = base::wall_now();
  manifest.who = who;
  manifest.version = options_.version;
  manifest.abi_version = header.abi_version;
  manifest.hyperscan_version.assign(
      header.hyperscan_version,
      ::strnlen(header.hyperscan_version, sizeof header.hyperscan_version));
  manifest.cpu_features = header.hyperscan_cpu_features;
  manifest.rules = built.rules;
  manifest.policy = request.policy;
  const std::string_view image(reinterpret_cast<const char*>(built.image.data()),
                               built.image.size());
  auto saved = store_.save(manifest, built.sources, image, built.rules_json);
  if (saved.ok()) saved = place_image(manifest.number, image);
  if (!saved.ok()) return failed(Outcome::kFailed, saved.error().message);
  const std::uint64_t compile_ms = report.compile_ms;
  report = announce(manifest.number, staged);
  report.compile_ms = compile_ms;
  report.rules = built.rules;
  report.warnings = std::move(built.warnings);
  return report;
}

base::Status Publisher::place_image(std::uint64_t number, std::string_view image) {
  const std::string folder = paths_.shm + "/" + abi::kImagesFolder;
  if (auto made = make_folders(folder); !made.ok()) return made;
  return write_file(folder + "/" + std::to_string(number) + ".img", image, 0440);
}

PublishReport Publisher::announce(std::uint64_t number, bool staged) {
  std::unique_lock lock(mutex_);
  follow_control();
  const bool runs = dataplane() != nullptr;
  lock.unlock();
  if (staged) {
    control_->announce_staged(number);
  } else {
    control_->announce(number);
  }
  if (!runs) {
    PublishReport report;
    report.outcome = Outcome::kPending;
    report.generation = number;
    report.message = out_of_reach();
    if (report.message.empty()) report.message = "no dataplane runs";
    report.message += ": it takes the generation at its start";
    return report;
  }
  PublishReport report = wait_for_answer(number, staged);
  if (report.outcome == Outcome::kLive && control_->announced_staged() == number) {
    control_->announce_staged(0);
  }
  remove_old_images();
  return report;
}

PublishReport Publisher::wait_for_answer(std::uint64_t number, bool staged) {
  const base::Nanos started = base::monotonic_now();
  PublishReport report;
  report.generation = number;
  while (elapsed_ms(started) < options_.answer_timeout_ms) {
    std::unique_lock lock(mutex_);
    DataplaneView* view = dataplane();
    if (view != nullptr) {
      const abi::GenerationAnswer& answer =
          staged ? view->segment().answer_staged : view->segment().answer_live;
      const bool in_force = (staged ? view->staged() : view->live()) == number;
      const bool answered = answer.generation.load(std::memory_order_acquire) == number;
      const auto error = static_cast<abi::ImageError>(answer.error.load(std::memory_order_relaxed));
      if (in_force || (answered && error == abi::ImageError::kNone)) {
        report.outcome = staged ? Outcome::kStaged : Outcome::kLive;
        report.publish_ms = elapsed_ms(started);
        accept(number);
        if (!staged) {
          if (auto noted = store_.set_live(number); !noted.ok()) {
            report.message = "live, but not noted on disk: " + noted.error().message;
          }
        }
        return report;
      }
      if (answered) {
        report.outcome = Outcome::kRefused;
        report.message.assign(answer.message, ::strnlen(answer.message, abi::kMessageBytes));
        if (report.message.empty()) report.message = abi::image_error_text(error);
        static_cast<void>(store_.set_state(number, GenerationState::kRefused, report.message));
        // The refused one must not be tried again by the dataplane's next start.
        if (staged) {
          control_->announce_staged(0);
        } else {
          control_->announce(view->live());
        }
        return report;
      }
    }
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  report.outcome = Outcome::kTimeout;
  report.message = "the dataplane did not answer in time; generation " + std::to_string(number) +
                   " stays announced";
  return report;
}

void Publisher::accept(std::uint64_t number) {
  const auto stored = store_.manifest(number);
  if (stored.ok() && stored.value().state != GenerationState::kAccepted) {
    static_cast<void>(store_.set_state(number, GenerationState::kAccepted, ""));
  }
  store_.prune(options_.keep,
               {number, live(), staged(), control_->announced(), control_->announced_staged()});
}

void Publisher::remove_old_images() {
  // The dataplane copies an image before it answers; only announced ones are still needed.
  std::error_code error;
  const std::filesystem::path folder = paths_.shm + "/" + abi::kImagesFolder;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().stem().string();
    if (name == std::to_string(control_->announced()) ||
        name == std::to_string(control_->announced_staged())) {
      continue;
    }
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
}

PublishReport Publisher::promote(const std::string& who) {
  const std::lock_guard lock(publish_mutex_);
  static_cast<void>(who);
  const std::uint64_t number = staged();
  if (number == 0) return failed(Outcome::kNotFound, "nothing is staged");
  return announce(number, false);
}

PublishReport Publisher::unstage() {
  const std::lock_guard lock(publish_mutex_);
  if (staged() == 0) return failed(Outcome::kNotFound, "nothing is staged");
  control_->announce_staged(0);
  PublishReport report;
  report.outcome = Outcome::kLive;
  report.generation = live();
  return report;
}

PublishReport Publisher::rollback(std::uint64_t number, const std::string& who) {
  const std::lock_guard lock(publish_mutex_);
  if (number == 0) {
    const auto before = store_.live_before(live());
    if (!before) return failed(Outcome::kNotFound, "no earlier generation was live");
    number = *before;
  }
  const auto stored = store_.manifest(number);
  if (!stored.ok()) {
    return failed(Outcome::kNotFound, "no generation " + std::to_string(number) + " is kept");
  }
  if (stored.value().state != GenerationState::kAccepted) {
    return failed(Outcome::kNotFound,
                  "generation " + std::to_string(number) + " was never accepted");
  }
  const auto image = store_.image(number);
  if (image.ok() && sha256_hex(image.value()) == stored.value().image_sha256) {
    if (auto placed = place_image(number, image.value()); !placed.ok()) {
      return failed(Outcome::kFailed, placed.error().message);
    }
    PublishReport report = announce(number, false);
    if (report.outcome != Outcome::kRefused) return report;
    // announce() marked it refused: it was accepted before, on another CPU perhaps.
    static_cast<void>(store_.set_state(number, GenerationState::kAccepted, ""));
  }
  // Another CPU or another version: compile the stored sources again, as a new generation.
  auto sources = store_.sources(number);
  if (!sources.ok()) return failed(Outcome::kFailed, sources.error().message);
  BuildRequest request = request_for(stored.value().policy);
  request.stored = std::move(sources).value();
  return build_and_publish(request, who, "recompile", false);
}

base::Status Publisher::set_mode(std::optional<abi::Mode> mode, const std::string& service) {
  const std::lock_guard lock(mutex_);
  Switches changed = switches_;
  if (service.empty()) {
    changed.mode = mode;
  } else if (mode) {
    changed.services[abi::fnv1a64(service)] = *mode;
  } else {
    changed.services.erase(abi::fnv1a64(service));
  }
  if (!apply_switches(changed, control_->raw())) {
    return base::Error{"too many services have a mode of their own"};
  }
  switches_ = changed;
  return save_switches(paths_.state, changed);
}

base::Status Publisher::set_bypass(bool on) {
  const std::lock_guard lock(mutex_);
  switches_.bypass = on;
  apply_switches(switches_, control_->raw());
  return save_switches(paths_.state, switches_);
}

Switches Publisher::switches() {
  const std::lock_guard lock(mutex_);
  return switches_;
}

void Publisher::tick() {
  const std::unique_lock publishing(publish_mutex_, std::try_to_lock);
  const std::lock_guard lock(mutex_);
  if (publishing.owns_lock()) follow_control();
  control_->heartbeat(base::monotonic_now(), static_cast<std::uint64_t>(::getpid()));
  DataplaneView* view = dataplane();
  if (view == nullptr) return;
  const std::uint64_t number = view->live();
  if (number == 0 || number != control_->announced()) return;
  const auto stored = store_.manifest(number);
  if (stored.ok() && stored.value().state == GenerationState::kPending) accept(number);
  const bool noted = store_.was_live(number) && store_.live() == number;
  if (stored.ok() && !noted) static_cast<void>(store_.set_live(number));
}

std::vector<Manifest> Publisher::generations() { return store_.list(); }

std::uint64_t Publisher::live() {
  const std::lock_guard lock(mutex_);
  if (DataplaneView* view = dataplane()) return view->live();
  return store_.live().value_or(0);
}

std::uint64_t Publisher::staged() {
  const std::lock_guard lock(mutex_);
  if (DataplaneView* view = dataplane()) return view->staged();
  return 0;
}

base::Result<std::string> Publisher::rules_json(std::uint64_t generation) {
  return store_.rules_json(generation);
}

base::Result<std::string> Publisher::image(std::uint64_t generation) {
  return store_.image(generation);
}

}  // namespace sluice::publish
