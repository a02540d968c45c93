// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#define PCRE2_CODE_UNIT_WIDTH 8
#include "dataplane/rules/operator/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <utility>

#include "dataplane/rules/operator/regex_meter.h"

namespace sluice::rules {

namespace {

/// Stands for itself wherever it is in a pattern.
bool is_literal(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '/' || c == '%' || c == '@' || c == '=';
}

}  // namespace

Regex::Regex(pcre2_real_code_8* code) : code_(code) {
  pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups_);
  pcre2_pattern_info(code, PCRE2_INFO_MINLENGTH, &least_bytes_);
  jit_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::Regex(Regex&& other) noexcept
    : code_(std::exchange(other.code_, nullptr)),
      metered_(std::exchange(other.metered_, nullptr)),
      groups_(other.groups_),
      least_bytes_(other.least_bytes_),
      jit_(other.jit_),
      any_(other.any_),
      texts_(std::move(other.texts_)) {}

Regex& Regex::operator=(Regex&& other) noexcept {
  std::swap(code_, other.code_);
  std::swap(metered_, other.metered_);
  std::swap(groups_, other.groups_);
  std::swap(least_bytes_, other.least_bytes_);
  std::swap(jit_, other.jit_);
  std::swap(any_, other.any_);
  std::swap(texts_, other.texts_);
  return *this;
}

Regex::~Regex() {
  pcre2_code_free(code_);
  pcre2_code_free(metered_);
}

namespace {

pcre2_code* compile_code(std::string_view pattern, std::uint32_t flags, int& error,
                         PCRE2_SIZE& at) {
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), flags, &error,
                       &at, nullptr);
}

}  // namespace

void Regex::add_meter(std::string_view pattern, std::uint32_t flags) {
  int error = 0;
  PCRE2_SIZE at = 0;
  const std::optional<std::string> text = metered_pattern(pattern);
  if (text.has_value()) {
    if (*text == pattern) return;
    metered_ = compile_code(*text, flags, error, at);
  }
  if (metered_ == nullptr) {
    metered_ = compile_code(pattern, flags | PCRE2_AUTO_CALLOUT, error, at);
  }
  if (metered_ != nullptr) jit_ = pcre2_jit_compile(metered_, PCRE2_JIT_COMPLETE) == 0 && jit_;
}

base::Result<Regex> Regex::compile(std::string_view pattern, RegexOptions options) {
  // pcre2_jit_match() trusts the subject to be valid UTF-8 in UTF mode; ours never is known to be.
  std::uint32_t flags = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
  if (options.caseless) flags |= PCRE2_CASELESS;
  if (options.dotall) flags |= PCRE2_DOTALL;
  if (options.multiline) flags |= PCRE2_MULTILINE;
  int error = 0;
  PCRE2_SIZE at = 0;
  if (pcre2_code* code = compile_code(pattern, flags, error, at); code != nullptr) {
    Regex regex(code);
    regex.add_meter(pattern, flags);
    if (options.dotall && options.multiline && !options.caseless) regex.read_texts(pattern);
    return regex;
  }
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(error, message, sizeof message);
  return base::Error{std::string(reinterpret_cast<const char*>(message)) + " at byte " +
                     std::to_string(at) + " of the pattern"};
}

void Regex::read_texts(std::string_view pattern) {
  constexpr std::string_view kGroup = "(?:";
  if (pattern.size() < 2 || !pattern.starts_with('^') || !pattern.ends_with('$')) return;
  pattern = pattern.substr(1, pattern.size() - 2);
  any_ = pattern == ".*";
  const bool grouped = pattern.starts_with(kGroup) && pattern.ends_with(')');
  if (grouped) pattern = pattern.substr(kGroup.size(), pattern.size() - kGroup.size() - 1);
  std::vector<std::string> texts(1);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '|' && grouped) {
      texts.emplace_back();
    } else if (c == '?' && !grouped && i + 1 == pattern.size() && i > 0) {
      texts.push_back(texts[0].substr(0, texts[0].size() - 1));
    } else if (is_literal(c)) {
      texts.back() += c;
    } else {
      return;
    }
  }
  texts_ = std::move(texts);
}

std::optional<bool> Regex::is_whole_match(Bytes subject) const {
  // `.*` takes line ends too and comes first to the end of the subject, where `$` holds.
  if (any_) return true;
  if (texts_.empty()) return std::nullopt;
  // In a subject of more lines any of them may be the text.
  if (std::find(subject.begin(), subject.end(), '\n') != subject.end()) return std::nullopt;
  return std::any_of(texts_.begin(), texts_.end(), [&](const std::string& text) {
    return text.size() == subject.size() &&
           std::equal(subject.begin(), subject.end(), text.begin());
  });
}

std::size_t Regex::memory_bytes() const {
  std::size_t bytes = 0;
  for (const pcre2_code* each : {code_, metered_}) {
    std::size_t code = 0, machine = 0;
    if (each == nullptr) continue;
    pcre2_pattern_info(each, PCRE2_INFO_SIZE, &code);
    pcre2_pattern_info(each, PCRE2_INFO_JITSIZE, &machine);
    bytes += code + machine;
  }
  return bytes;
}

namespace {

/// The memory that PCRE2 gets from us: a bump allocator that forgets what is freed. Only the
/// interpreter's frames grow during matches, by doubling and up to the heap limit, and stay with
/// the match data for the next match; so three times the heap limit holds all of it for ever.
struct Heap {
  std::uint8_t* memory;
  std::size_t bytes, used;
};
/// Of PCRE2's units at each start, of match_briefly().
constexpr std::uint32_t kBriefWork = 500;
constexpr std::size_t kHeapBytes = 3 * abi::kRegexHeapKib * 1024;

void* take(PCRE2_SIZE bytes, void* data) {
  auto* heap = static_cast<Heap*>(data);
  const std::size_t start = (heap->used + 15) & ~std::size_t{15};
  if (start > heap->bytes || heap->bytes - start < bytes) return nullptr;
  heap->used = start + bytes;
  return heap->memory + start;
}

void give_back(void*, void*) {}

}  // namespace

struct RegexContext::State {
  Heap heap{};
  pcre2_general_context* general = nullptr;
  pcre2_match_context *match = nullptr, *brief = nullptr;
  pcre2_match_data* data = nullptr;
  pcre2_jit_stack* stack = nullptr;
  RegexMeter meter;

  ~State() {
    pcre2_jit_stack_free(stack);  // the only one that PCRE2 maps for itself
    ::operator delete(heap.memory);
  }
};

base::Result<RegexContext> RegexContext::create(RegexLimits limits) {
  auto* state = new (std::nothrow) State;
  if (state == nullptr) return base::Error{"no memory for a regex context"};
  RegexContext context(state);
  state->heap = {static_cast<std::uint8_t*>(::operator new(kHeapBytes, std::nothrow)), kHeapBytes,
                 0};
  if (state->heap.memory == nullptr) return base::Error{"no memory for a regex context"};
  state->general = pcre2_general_context_create(take, give_back, &state->heap);
  if (state->general != nullptr) {
    state->match = pcre2_match_context_create(state->general);
    state->brief = pcre2_match_context_create(state->general);
    state->data = pcre2_match_data_create(abi::kRegexGroupsMax, state->general);
    state->stack =
        pcre2_jit_stack_create(abi::kRegexStackBytes, abi::kRegexStackBytes, state->general);
  }
  if (state->match == nullptr || state->brief == nullptr || state->data == nullptr ||
      state->stack == nullptr) {
    return base::Error{"no memory for a regex context"};
  }
  for (pcre2_match_context* each : {state->match, state->brief}) {
    pcre2_jit_stack_assign(each, nullptr, state->stack);
    pcre2_set_heap_limit(each, abi::kRegexHeapKib);
    pcre2_set_callout(each, RegexMeter::on_callout, &state->meter);
  }
  pcre2_set_match_limit(state->match, limits.match);
  pcre2_set_depth_limit(state->match, limits.depth);
  pcre2_set_match_limit(state->brief, kBriefWork);
  pcre2_set_depth_limit(state->brief, kBriefWork);
  return context;
}

RegexContext::RegexContext(RegexContext&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)) {}

RegexContext& RegexContext::operator=(RegexContext&& other) noexcept {
  std::swap(state_, other.state_);
  group_count_ = 0;
  return *this;
}

RegexContext::~RegexContext() { delete state_; }

/// What needs no PCRE2. Sets the subject.
std::optional<RegexOutcome> RegexContext::match_whole(const Regex& regex, Bytes subject) {
  static constexpr std::uint8_t kNothing = 0;
  subject_ = {subject.data() != nullptr ? subject.data() : &kNothing, subject.size()};
  group_count_ = 0;
  const std::optional<bool> whole = regex.is_whole_match(subject);
  if (!whole.has_value()) return std::nullopt;
  if (!*whole) return RegexOutcome::kNoMatch;
  PCRE2_SIZE* places = pcre2_get_ovector_pointer(state_->data);
  places[0] = 0;
  places[1] = subject.size();
  group_count_ = 1;
  return RegexOutcome::kMatch;
}

RegexOutcome RegexContext::match(const Regex& regex, Bytes subject, std::size_t offset) {
  const std::optional<RegexOutcome> known = match_whole(regex, subject);
  if (known.has_value() && offset == 0) return *known;
  // Patterns may have callouts of their own, which mean nothing here.
  state_->meter.begin(std::numeric_limits<std::uint64_t>::max(), offset);
  return run(regex, regex.code(), offset, 0);
}

RegexOutcome RegexContext::match_briefly(const Regex& regex, Bytes subject) {
  if (const auto known = match_whole(regex, subject); known.has_value()) return *known;
  state_->meter.begin(std::numeric_limits<std::uint64_t>::max(), 0);
  return run(regex, regex.code(), 0, 0, true);
}

RegexOutcome RegexContext::match_metered(const Regex& regex, Bytes subject, std::size_t offset,
                                         std::uint32_t options, std::uint64_t& work) {
  const std::optional<RegexOutcome> known = match_whole(regex, subject);
  if (known.has_value() && offset == 0 && options == 0) return *known;
  state_->meter.begin(work, offset);
  const RegexOutcome outcome = run(regex, regex.metered_code(), offset, options);
  work = state_->meter.left();
  return outcome;
}

RegexOutcome RegexContext::run(const Regex& regex, const pcre2_real_code_8* code,
                               std::size_t offset, std::uint32_t options, bool briefly) {
  pcre2_match_context* context = briefly ? state_->brief : state_->match;
  group_count_ = 0;
  // pcre2_match() looks at this itself, pcre2_jit_match() does not.
  if (subject_.size() - offset < regex.least_bytes()) return RegexOutcome::kNoMatch;
  // pcre2_jit_match() knows no PCRE2_ANCHORED.
  int result = PCRE2_ERROR_JIT_STACKLIMIT;
  if (regex.is_jit() && (options & PCRE2_ANCHORED) == 0) {
    result = pcre2_jit_match(code, subject_.data(), subject_.size(), offset, options, state_->data,
                             context);
  }
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    result = pcre2_match(code, subject_.data(), subject_.size(), offset, options | PCRE2_NO_JIT,
                         state_->data, context);
  }
  if (result == PCRE2_ERROR_NOMATCH) return RegexOutcome::kNoMatch;
  if (result < 0) return RegexOutcome::kLimit;
  group_count_ = result == 0 ? abi::kRegexGroupsMax : static_cast<std::size_t>(result);
  return RegexOutcome::kMatch;
}

std::optional<Bytes> RegexContext::group(std::size_t index) const {
  if (index >= group_count_) return std::nullopt;
  const PCRE2_SIZE* places = pcre2_get_ovector_pointer(state_->data);
  const PCRE2_SIZE from = places[2 * index], to = places[2 * index + 1];
  if (from == PCRE2_UNSET) return std::nullopt;
  if (to < from) return Bytes();  // \K in a lookahead
  return subject_.subspan(from, to - from);
}

RegexOutcome RegexCursor::next() {
  while (offset_ <= subject_.size()) {
    const std::uint32_t options = was_empty_ ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
    const RegexOutcome outcome = context_.match_metered(regex_, subject_, offset_, options, work_);
    if (outcome == RegexOutcome::kLimit) return outcome;
    if (outcome == RegexOutcome::kMatch) {
      const Bytes whole = context_.group(0).value_or(Bytes());
      const auto end =
          whole.data() == nullptr
              ? offset_
              : static_cast<std::size_t>(whole.data() - context_.subject_.data()) + whole.size();
      was_empty_ = end <= offset_ || whole.empty();
      offset_ = end > offset_ ? end : offset_;
      return outcome;
    }
    if (!was_empty_) break;
    was_empty_ = false;
    ++offset_;
  }
  offset_ = subject_.size() + 1;
  return RegexOutcome::kNoMatch;
}

}  // namespace sluice::rules
