async resumeUpload(taskId) {
    // Get task information
    const resumeResponse = await fetch(`/api/files/upload/resume/${taskId}`);
    const taskInfo = await resumeResponse.json();

    // Get uploaded chunks
    const uploadedChunks = new Set(taskInfo.uploadedChunks);

    // Upload missing chunks
    for (let i = 0; i < taskInfo.chunksCount; i++) {
        if (!uploadedChunks.has(i)) {
            await this.uploadChunk(taskId, i, this.getChunkData(i));
        }
    }

    // Complete upload
    await fetch(`/api/files/upload/complete/${taskId}`, {
        method: 'POST'
    });
}
