#include "core/proto/frame.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <array>

#include "core/proto/frame_pieces.hpp"

namespace gauntlet::proto {
namespace {

/// Frames from here on are worth a way of their own.
constexpr std::size_t kLongFrame = std::size_t{256} << 10;

std::uint32_t read_length(std::string_view header) {
  std::uint32_t length = 0;
  for (std::size_t byte = 0; byte < kFrameHeaderBytes; ++byte) {
    length |= std::uint32_t{static_cast<std::uint8_t>(header[byte])} << (8 * byte);
  }
  return length;
}

/// A byte field from here on is not copied by encode_in_pieces.
constexpr std::size_t kLongField = std::size_t{64} << 10;

/// Appends what a message writes. Long byte fields, such as chunks of artifacts, are copied once, straight to
/// their place, or the first of them not at all; AppendToString fills the place with zeros first. To be
/// finished before `out` is used.
class Appender final : public google::protobuf::io::ZeroCopyOutputStream {
 public:
  /// `left_out`: told the first long field, which is then not copied; null: all are.
  explicit Appender(std::string& out, FramePieces* left_out = nullptr)
      : out_(out), left_out_(left_out), n_before_(out.size()) {}

  bool Next(void** data, int* size) override {
    finish();
    *data = block_.data();
    *size = static_cast<int>(block_.size());
    n_used_ = block_.size();
    return true;
  }
  void BackUp(int count) override { n_used_ -= static_cast<std::size_t>(count); }
  [[nodiscard]] int64_t ByteCount() const override {
    const std::size_t n_left_out = left_out_ == nullptr ? 0 : left_out_->field.size();
    return static_cast<int64_t>(out_.size() - n_before_ + n_left_out + n_used_);
  }
  bool WriteAliasedRaw(const void* data, int size) override {
    finish();
    const std::string_view field(static_cast<const char*>(data), static_cast<std::size_t>(size));
    if (left_out_ != nullptr && left_out_->field.empty() && field.size() >= kLongField) {
      left_out_->field = field;
      left_out_->at = out_.size();
    } else {
      out_.append(field);
    }
    return true;
  }
  [[nodiscard]] bool AllowsAliasing() const override { return true; }
  void finish() {
    out_.append(block_.data(), n_used_);
    n_used_ = 0;
  }

 private:
  std::string& out_;
  FramePieces* left_out_;
  std::size_t n_before_;
  std::size_t n_used_ = 0;  ///< of the block
  std::array<char, 512> block_{};
};

/// Computes the sizes that SerializeWithCachedSizes uses. Errors: larger than kMaxFrameBytes.
Result<std::size_t> length_of(const Frame& frame) {
  const std::size_t length = frame.ByteSizeLong();
  if (length <= kMaxFrameBytes) return length;
  return fail(ErrorCode::kInvalid, "a {} frame of {} bytes is too large; at most {} bytes are allowed",
              name_of(frame.body_case()), length, kMaxFrameBytes);
}

void append_header(std::size_t length, std::string& out) {
  for (std::size_t byte = 0; byte < kFrameHeaderBytes; ++byte) {
    out.push_back(static_cast<char>((length >> (8 * byte)) & 0xff));
  }
}

void append_long_payload(const Frame& frame, std::string& out, FramePieces* left_out) {
  Appender appender(out, left_out);
  {
    google::protobuf::io::CodedOutputStream stream(&appender);
    stream.EnableAliasing(true);
    frame.SerializeWithCachedSizes(&stream);
  }
  appender.finish();
}

}  // namespace

Status append_frame(const Frame& frame, std::string& out) {
  GAUNTLET_TRY(const std::size_t length, length_of(frame));
  if (length > kLongFrame) out.reserve(out.size() + kFrameHeaderBytes + length);
  append_header(length, out);
  if (length <= kLongFrame) {
    frame.AppendToString(&out);
  } else {
    append_long_payload(frame, out, nullptr);
  }
  return {};
}

Result<FramePieces> encode_in_pieces(const Frame& frame) {
  GAUNTLET_TRY(const std::size_t length, length_of(frame));
  FramePieces pieces;
  append_header(length, pieces.text);
  append_long_payload(frame, pieces.text, &pieces);
  return pieces;
}

Result<std::string> encode_frame(const Frame& frame) {
  std::string out;
  GAUNTLET_CHECK_OK(append_frame(frame, out));
  return out;
}

Result<Frame> decode_payload(std::string_view payload) {
  Frame frame;
  if (payload.size() > kMaxFrameBytes ||
      !frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return fail(ErrorCode::kCorrupt, "{} bytes from the peer are not a frame of this protocol",
                payload.size());
  }
  if (frame.body_case() == Frame::BODY_NOT_SET) {
    return fail(ErrorCode::kCorrupt, "a frame of {} bytes from the peer holds no message this program knows",
                payload.size());
  }
  return frame;
}

std::string_view name_of(Frame::BodyCase body) {
  const auto* field = Frame::descriptor()->FindFieldByNumber(static_cast<int>(body));
  return field == nullptr ? std::string_view("empty") : std::string_view(field->name());
}

Frame failure_frame(std::uint64_t id, const Error& error) {
  Frame frame;
  frame.set_id(id);
  frame.mutable_failure()->set_code(static_cast<std::uint32_t>(error.code));
  frame.mutable_failure()->set_message(error.message);
  return frame;
}

ErrorCode error_code_from(std::uint32_t number) {
  if (number == 0 || number > static_cast<std::uint32_t>(ErrorCode::kJobsFailed)) return ErrorCode::kInternal;
  return static_cast<ErrorCode>(number);
}

Error error_of(const Failure& failure) { return Error{error_code_from(failure.code()), failure.message()}; }

void FrameReader::feed(std::string_view bytes) {
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  } else if (at_ > buffer_.size() / 2) {  // moves each byte at most once per doubling
    buffer_.erase(0, at_);
    at_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<Frame>> FrameReader::next() {
  if (broken_) return fail(*broken_);
  const std::string_view unread = std::string_view(buffer_).substr(at_);
  if (unread.size() < kFrameHeaderBytes) return std::nullopt;
  const std::size_t length = read_length(unread);
  if (length > max_bytes_) {
    broken_ = Error{
        ErrorCode::kInvalid,
        fmt::format("the peer announces a frame of {} bytes; at most {} are allowed", length, max_bytes_)};
    return fail(*broken_);
  }
  if (unread.size() < kFrameHeaderBytes + length) return std::nullopt;
  Result<Frame> frame = decode_payload(unread.substr(kFrameHeaderBytes, length));
  if (!frame) {
    broken_ = frame.error();
    return fail(*broken_);
  }
  at_ += kFrameHeaderBytes + length;
  return std::optional<Frame>(std::move(*frame));
}

}  // namespace gauntlet::proto
